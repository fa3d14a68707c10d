/* `fallback`: the listeners leave one by one; who serves after each leave? */
#include "scenarios.h"

#include "confirm.h"
#include "flows.h"
#include "limits.h"
#include "members.h"
#include "ports.h"
#include "trial.h"

#include <stdio.h>

/* One of `remaining`, which has the lowest index first, leaves; returns how many are left. */
static int leave(struct trial *trial, int *remaining, int count)
{
    int order = trial->question->order;
    int at = order == NEWEST ? count - 1 : order == OLDEST ? 0 : count / 2;
    member_fail(trial, remaining[at], trial->question->failure);
    for (int i = at; i < count - 1; i++)
        remaining[i] = remaining[i + 1];
    return count - 1;
}

/* New flows; returns who served, if one did. */
static int serve(struct trial *trial, const char *phase)
{
    int count = trial->question->flows;
    struct flow *flows = flows_new(trial, count);
    flows_serve(trial, phase, flows, count);
    int sole = sole_server(flows, count);
    flows_end(trial, flows, count);
    return sole;
}

void fallback(struct trial *trial)
{
    int count = trial->question->listeners;
    int remaining[MAX_LISTENERS];
    reserve_port(trial);
    need_descriptors(trial, trial->question->flows);
    members_fork(trial, count);
    if (members_stand(trial, count) != 0)
        return;
    for (int i = 0; i < count; i++)
        remaining[i] = i;
    confirm_speakers(trial, serve(trial, "all"), count);
    for (int left = 1; count > 1; left++) {
        char name[16], addresses[32];
        snprintf(name, sizeof name, "left-%d", left);
        snprintf(addresses, sizeof addresses, "left-%d-addresses", left);
        count = leave(trial, remaining, count);
        int sole = serve(trial, name);
        if (count > 1)
            confirm_addresses(trial, addresses, sole, count);
    }
}
