/* `backlog`: a listener calls listen() again with another backlog; does its accept queue follow? */
#include "scenarios.h"

#include "emit.h"
#include "flow.h"
#include "flows.h"
#include "group.h"
#include "members.h"
#include "outcome.h"
#include "phase.h"
#include "question.h"
#include "trial.h"

#include <stddef.h>

/* The first call that the kernel refuses. */
static struct outcome each(struct trial *trial, enum operation operation)
{
    struct outcome outcome = { NO_CALL, 0 };
    for (int i = 0; i < trial->question->listeners && outcome.call == NO_CALL; i++)
        outcome = member_do(trial, i, operation);
    return outcome;
}

/* The queue is empty when all that were in it have been served. */
static void empty(struct trial *trial, struct flow *flows)
{
    struct phase phase = { .flows = flows, .count = trial->question->flows, .resume = 1 };
    each(trial, SERVE);
    phase_run(trial, &phase);
    each(trial, PAUSE);
}

void backlog(struct trial *trial)
{
    int count = trial->question->flows;
    struct flow *flows = group_stands(trial, 0);
    if (flows == NULL)
        return;
    each(trial, PAUSE);
    flows_queue(trial, "before", flows, count);
    empty(trial, flows);
    struct outcome outcome = each(trial, LISTEN_AGAIN);
    emit_attempt("again", outcome);
    if (outcome.call == NO_CALL) {
        struct flow *more = flows_new(trial, count);
        flows_queue(trial, "after", more, count);
        flows_end(trial, more, count);
    }
    flows_end(trial, flows, count);
}
