/* One member of a group fails.  What becomes of accepted connections (`failure-established`), of
 * those in the accept queues (`failure-queued`), of new ones on the same 4-tuples
 * (`failure-flows`), and what if the member only stops (`failure-hung`)? */
#include "scenarios.h"

#include "emit.h"
#include "flow.h"
#include "flows.h"
#include "group.h"
#include "limits.h"
#include "members.h"
#include "ports.h"
#include "question.h"
#include "trial.h"
#include "unsupported.h"
#include "victim.h"

/* Each member comes, and a part of the flows connects before the next one does.  Where only the
 * newest is served, all of them have connections then. */
static struct flow *group_joins(struct trial *trial)
{
    int count = trial->question->flows, listeners = trial->question->listeners;
    reserve_port(trial);
    need_descriptors(trial, count);
    members_fork(trial, listeners);
    struct flow *flows = flows_new(trial, count);
    for (int i = 0; i < listeners; i++) {
        int from = (int)((long)count * i / listeners), to = (int)((long)count * (i + 1) / listeners);
        if (member_stand(trial, i) != 0) {
            flows_end(trial, flows, count);
            return NULL;
        }
        flows_hold(trial, NULL, flows + from, to - from);
    }
    emit_flows(trial, "before", flows, count, 0);
    flows_echo(trial, "joined", flows, count);
    return flows;
}

void failure_established(struct trial *trial)
{
    int count = trial->question->flows, in_turn = trial->question->joining == IN_TURN;
    struct flow *flows = in_turn ? group_joins(trial) : group_stands(trial, 0);
    if (flows == NULL)
        return;
    if (!in_turn)
        flows_hold(trial, "before", flows, count);
    member_fail(trial, victim(trial, flows, count), trial->question->failure);
    flows_echo(trial, "after", flows, count);
    flows_end(trial, flows, count);
}

void failure_queued(struct trial *trial)
{
    int count = trial->question->flows, listeners = trial->question->listeners;
    struct flow *flows = group_stands(trial, 0);
    if (flows == NULL)
        return;
    flows_serve(trial, "home", flows, count);
    int fails = victim(trial, flows, count);
    for (int i = 0; i < listeners; i++)
        member_do(trial, i, PAUSE);
    flows_queue(trial, "queued", flows, count);
    flows_arrive(trial);
    member_fail(trial, fails, trial->question->failure);
    for (int i = 0; i < listeners; i++)
        if (i != fails)
            member_do(trial, i, SERVE);
    flows_settle(trial, flows, count);
    flows_end(trial, flows, count);
}

void failure_flows(struct trial *trial)
{
    int count = trial->question->flows, newcomer = trial->question->listeners;
    if (trial->question->change == REPLACE)
        unsupported(trial, "one member changes here: leave, join or restart");
    struct flow *flows = group_stands(trial, 1);
    if (flows == NULL)
        return;
    flows_serve(trial, "before", flows, count);
    int leaves = victim(trial, flows, count);
    flows_serve(trial, "again", flows, count);
    if (trial->question->change != JOIN)
        member_fail(trial, leaves, trial->question->failure);
    if (trial->question->change == RESTART)
        flows_serve(trial, "left", flows, count);
    int refused = 0;
    if (trial->question->change != LEAVE) {
        refused = member_stand(trial, newcomer) != 0;
        if (!refused)
            emit_change(trial, "join", newcomer, 0);
    }
    if (!refused)
        flows_serve(trial, "after", flows, count);
    flows_end(trial, flows, count);
}

void failure_hung(struct trial *trial)
{
    int count = trial->question->flows;
    struct flow *flows = group_stands(trial, 0);
    if (flows == NULL)
        return;
    flows_serve(trial, "home", flows, count);
    member_fail(trial, victim(trial, flows, count), HANG);
    flows_serve(trial, "hung", flows, count);
    emit_fact("backlog", trial->backlog);
    flows_end(trial, flows, count);
}
