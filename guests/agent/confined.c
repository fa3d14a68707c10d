/* `confined`: half of a port's members are in a network namespace, a jail or a FIB; do clients outside
 * it reach them?  As in `precedence`, the order of bind() may decide, so both are asked.  At last those
 * outside leave: if clients still reach nobody, those inside have a port of their own. */
#include "scenarios.h"

#include "ending.h"
#include "errno_name.h"
#include "flows.h"
#include "limits.h"
#include "loopback.h"
#include "members.h"
#include "platform_confine.h"
#include "ports.h"
#include "sides.h"
#include "trial.h"
#include "unsupported.h"
#include "worker.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum { OUTSIDE, INSIDE, FEW = 16 };

/* The loopback interface of a new network namespace is down, and then it has no address. */
static int enter(const struct trial *trial)
{
    char name[32];
    snprintf(name, sizeof name, "reuseport-%s", trial->token);
    int error = platform_confine(trial->question->inside, name);
    return error == 0 && trial->question->inside == IN_NETNS ? loopback_up() : error;
}

/* Each enters in its turn, so that the first one makes the jail that the next one finds. */
static void run(const struct trial *trial, int index, int control)
{
    char turn;
    if (index >= first_of_side(trial, INSIDE)) {
        if (recv(control, &turn, 1, MSG_WAITALL) != 1)
            _exit(0);
        int error = enter(trial);
        if (send(control, &error, sizeof error, 0) != (ssize_t)sizeof error)
            _exit(0);
    }
    worker_run(trial, index, control);
}

static void let_enter(struct trial *trial, int index)
{
    static const char *const places[][2] = {
        [IN_NETNS] = { "network namespaces", "a network namespace" },
        [IN_JAIL] = { "jails", "a jail" },
        [IN_FIB] = { "FIBs", "FIB 1" },
    };
    const char *const *where = places[trial->question->inside];
    int control = trial->members[index].control, error;
    ssize_t got;
    if (send(control, "", 1, 0) != 1)
        broken("member %d does not enter", index);
    do
        got = recv(control, &error, sizeof error, MSG_WAITALL);
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof error)
        broken("member %d does not answer", index);
    if (error == ENOSYS)
        unsupported(trial, "no %s on this system that the agent knows", where[0]);
    if (error != 0)
        unsupported(trial, "%sno process can enter %s: %s", error == EPERM ? "needs root: " : "",
                    where[1], errno_name(error));
}

void confined(struct trial *trial)
{
    const struct question *question = trial->question;
    if (question->listeners < 2)
        unsupported(trial, "two sides need two listeners");
    reserve_port(trial);
    need_descriptors(trial, question->flows);
    trial->indexes = question->listeners;
    members_fork_as(trial, question->listeners, run);
    for (int i = first_of_side(trial, INSIDE); i < question->listeners; i++)
        let_enter(trial, i);
    if (sides_ask(trial, OUTSIDE, 1) != 0)
        return;
    for (int i = 0; i < first_of_side(trial, INSIDE); i++)
        member_fail(trial, i, CLOSE);
    flows_serve_new(trial, "inside", FEW);
}
