/* `fallback`: the listeners leave one by one; who serves after each leave? */
#include "scenarios.h"

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

void fallback(struct trial *trial)
{
    int count = trial->question->listeners, flow_count = trial->question->flows;
    int remaining[MAX_LISTENERS];
    reserve_port(trial);
    need_descriptors(trial, flow_count);
    members_fork(trial, count);
    if (members_stand(trial, count) != 0)
        return;
    for (int i = 0; i < count; i++)
        remaining[i] = i;
    flows_serve_new(trial, "all", flow_count);
    for (int left = 1; count > 1; left++) {
        char name[16];
        snprintf(name, sizeof name, "left-%d", left);
        count = leave(trial, remaining, count);
        flows_serve_new(trial, name, flow_count);
    }
}
