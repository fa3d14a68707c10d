/* One member of a group fails: what becomes of accepted and of queued connections, of new ones to
 * the same 4-tuples, and of those whose member only stops. */
#include "agent.h"

enum { QUEUEING = 3000 };

/* The group and its flows, or null if the kernel refuses the group. */
struct flow *group_stands(struct trial *trial, int spare)
{
    int count = trial->question->listeners;
    reserve_port(trial);
    need_descriptors(trial, trial->question->flows);
    members_fork(trial, count + spare);
    if (members_stand(trial, count) != 0)
        return NULL;
    return flows_new(trial, trial->question->flows);
}

void failure_established(struct trial *trial)
{
    int count = trial->question->flows;
    struct flow *flows = group_stands(trial, 0);
    if (flows == NULL)
        return;
    flows_hold(trial, "before", flows, count);
    member_fail(trial, victim(trial, flows, count), trial->question->failure);
    flows_echo(trial, "after", flows, count);
    flows_end(flows, count);
}

/* Handshakes without anybody to accept; a deadline of their own, because each that is to come
 * about has done so in one round trip or one retransmission of its SYN. */
void flows_queue(struct trial *trial, struct flow *flows, int count)
{
    struct phase phase = { .name = "queued", .flows = flows, .count = count, .handshake = 1 };
    phase.deadline = trial->question->deadline < QUEUEING ? trial->question->deadline : QUEUEING;
    phase_run(trial, &phase);
}

/* What became of them. */
void flows_settle(struct trial *trial, struct flow *flows, int count)
{
    struct phase phase = { .name = "fates", .flows = flows, .count = count, .resume = 1 };
    phase_run(trial, &phase);
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
    flows_queue(trial, flows, count);
    member_fail(trial, fails, trial->question->failure);
    for (int i = 0; i < listeners; i++)
        if (i != fails)
            member_do(trial, i, SERVE);
    flows_settle(trial, flows, count);
    flows_end(flows, count);
}

void failure_flows(struct trial *trial)
{
    int count = trial->question->flows, newcomer = trial->question->listeners;
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
    flows_end(flows, count);
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
    flows_end(flows, count);
}
