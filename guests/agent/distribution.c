/* Who is served by a group as it stands, on another port, in another order, and beside a socket that
 * is bound but does not listen. */
#include "agent.h"

#include <stddef.h>

static void flows_all(struct trial *trial, const char *name)
{
    int count = trial->question->flows;
    struct flow *flows = flows_new(trial, count);
    flows_serve(trial, name, flows, count);
    flows_end(flows, count);
}

void distribution(struct trial *trial)
{
    int count = trial->question->listeners;
    reserve_port(trial);
    need_descriptors(trial, trial->question->flows);
    members_fork(trial, count);
    if (members_stand(trial, count) == 0)
        flows_all(trial, "all");
}

static void close_all(struct trial *trial)
{
    for (int i = 0; i < trial->question->listeners; i++)
        member_do(trial, i, CLOSE_LISTENER);
}

/* The same members, in the same order, on another port: nobody refuses what was free. */
static void move(struct trial *trial)
{
    close_all(trial);
    reserve_port(trial);
    for (int i = 0; i < trial->question->listeners; i++) {
        struct outcome outcome = member_bind(trial, i, trial->option, 0);
        if (outcome.call == NULL)
            outcome = member_do(trial, i, LISTEN);
        if (outcome.call != NULL)
            broken("member %d cannot move to another port: %s: %s", i, outcome.call,
                   errno_name(outcome.error));
    }
}

/* Only a far end of our own has the same ports again at once, and so many. */
void server_port(struct trial *trial)
{
    int count = trial->question->flows;
    struct flow *flows = group_stands(trial, 0);
    if (flows == NULL)
        return;
    flows_serve(trial, "all", flows, count);
    move(trial);
    flows_serve(trial, "elsewhere", flows, count);
    flows_end(flows, count);
}

/* The same members on the same port, which bind in the same order and listen in the opposite one; what
 * the kernel says first against it. */
static struct outcome cross(struct trial *trial)
{
    int count = trial->question->listeners;
    struct outcome outcome = { NULL, 0 };
    close_all(trial);
    for (int i = 0; i < count && outcome.call == NULL; i++)
        outcome = member_bind(trial, i, trial->option, 0);
    for (int i = count - 1; i >= 0 && outcome.call == NULL; i--)
        outcome = member_do(trial, i, LISTEN);
    return outcome;
}

/* Only where the two orders differ it shows which of them a group follows (BEHAVIOURS.md, trap 5):
 * with the same 4-tuples on the same port nothing else has changed, so a hash tells it, too. */
void listen_order(struct trial *trial)
{
    int count = trial->question->flows;
    struct flow *flows = group_stands(trial, 0);
    if (flows == NULL)
        return;
    flows_serve(trial, "all", flows, count);
    struct outcome outcome = cross(trial);
    emit_attempt("crossed", outcome);
    if (outcome.call == NULL)
        flows_serve(trial, "crossed", flows, count);
    flows_end(flows, count);
}

/* 0, or -1 if the kernel refuses. */
static int bind_bystander(struct trial *trial, int index)
{
    struct outcome outcome = member_bind_first(trial, index);
    emit_member(index, outcome.call == NULL ? trial->binds++ : -1, -1, outcome);
    return outcome.call == NULL ? 0 : -1;
}

void bound_only(struct trial *trial)
{
    int count = trial->question->listeners, first = trial->question->position == FIRST;
    reserve_port(trial);
    need_descriptors(trial, trial->question->flows);
    members_fork(trial, count + 1);
    if (first && bind_bystander(trial, count) != 0)
        return;
    if (members_stand(trial, count) != 0)
        return;
    if (!first && bind_bystander(trial, count) != 0)
        return;
    flows_all(trial, "all");
    member_fail(trial, count, CLOSE);
    flows_all(trial, "alone");
}
