/* `last-gone`: the last listener leaves, with connections in its accept queue. */
#include "scenarios.h"

#include "emit.h"
#include "flow.h"
#include "flows.h"
#include "limits.h"
#include "members.h"
#include "outcome.h"
#include "ports.h"
#include "trial.h"

#include <stddef.h>

enum { NEW = 16 };

static void rebind(struct trial *trial, int index, const char *what, int option)
{
    struct outcome outcome = member_bind(trial, index, option, 0);
    if (outcome.call == NO_CALL)
        outcome = member_do(trial, index, LISTEN);
    emit_attempt(what, outcome);
    member_do(trial, index, CLOSE_LISTENER);
}

void last_gone(struct trial *trial)
{
    int count = trial->question->flows;
    reserve_port(trial);
    need_descriptors(trial, count + NEW);
    members_fork(trial, 2);
    if (member_stand(trial, 0) != 0)
        return;
    member_do(trial, 0, PAUSE);
    struct flow *flows = flows_new(trial, count), *more = flows_new(trial, NEW);
    flows_queue(trial, "queued", flows, count);
    member_fail(trial, 0, trial->question->failure);
    flows_settle(trial, flows, count);
    flows_serve(trial, "new", more, NEW);
    rebind(trial, 1, "rebind-same", trial->question->option);
    rebind(trial, 1, "rebind-none", NONE);
    flows_end(trial, flows, count);
    flows_end(trial, more, NEW);
}
