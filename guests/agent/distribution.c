/* Which member of a group serves which flow: `distribution`, `server-port` (on another port),
 * `listen-order` (in another order), `bound-only` (beside a socket that does not listen). */
#include "scenarios.h"

#include "aliases.h"
#include "confirm.h"
#include "emit.h"
#include "ending.h"
#include "errno_name.h"
#include "flow.h"
#include "flows.h"
#include "group.h"
#include "limits.h"
#include "members.h"
#include "outcome.h"
#include "ports.h"
#include "trial.h"
#include "unsupported.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>

/* With source=many-addresses, which is a form of `datagrams`. */
static void give_addresses(struct trial *trial, struct flow *flows)
{
    int error = aliases_begin(trial, flows, trial->question->flows);
    if (error != 0)
        unsupported(trial, "%sthis guest has one loopback address of %s only: %s",
                    error == EPERM || error == EACCES ? "needs root: " : "",
                    trial->question->family == IPV6 ? "IPv6" : "IPv4", errno_name(error));
}

void distribution(struct trial *trial)
{
    int count = trial->question->listeners;
    reserve_port(trial);
    need_descriptors(trial, trial->question->flows);
    members_fork(trial, count);
    if (members_stand(trial, count) != 0)
        return;
    struct flow *flows = flows_new(trial, trial->question->flows);
    if (trial->spread)
        give_addresses(trial, flows);
    flows_serve(trial, "all", flows, trial->question->flows);
    int sole = sole_server(flows, trial->question->flows);
    flows_end(trial, flows, trial->question->flows);
    confirm_addresses(trial, "addresses", sole, count);
    confirm_speakers(trial, sole, count);
}

static void close_all(struct trial *trial)
{
    for (int i = 0; i < trial->question->listeners; i++)
        member_do(trial, i, CLOSE_LISTENER);
}

/* The same members bind and listen in the same order on another port, which was free. */
static void move(struct trial *trial)
{
    close_all(trial);
    reserve_port(trial);
    for (int i = 0; i < trial->question->listeners; i++) {
        struct outcome outcome = member_bind(trial, i, trial->option, 0);
        if (outcome.call == NO_CALL)
            outcome = member_do(trial, i, LISTEN);
        if (outcome.call != NO_CALL)
            broken("member %d cannot move to another port: %s: %s", i, call_name(outcome.call),
                   errno_name(outcome.error));
    }
}

/* With peer=tun only: a socket could not have that many source ports again at once. */
void server_port(struct trial *trial)
{
    int count = trial->question->flows;
    struct flow *flows = group_stands(trial, 0);
    if (flows == NULL)
        return;
    flows_serve(trial, "all", flows, count);
    for (int port = 1; port < trial->question->ports; port++) {
        char phase[24] = "elsewhere";
        if (port > 1)
            snprintf(phase, sizeof phase, "elsewhere-%d", port);
        move(trial);
        flows_serve(trial, phase, flows, count);
    }
    flows_end(trial, flows, count);
}

/* The same members bind on the same port in the same order, and listen in the opposite order;
 * returns the first call that the kernel refuses. */
static struct outcome cross(struct trial *trial)
{
    int count = trial->question->listeners;
    struct outcome outcome = { NO_CALL, 0 };
    close_all(trial);
    for (int i = 0; i < count && outcome.call == NO_CALL; i++)
        outcome = member_bind(trial, i, trial->option, 0);
    for (int i = count - 1; i >= 0 && outcome.call == NO_CALL; i--)
        outcome = member_do(trial, i, LISTEN);
    return outcome;
}

/* Some kernels keep a group in the order of bind(), some in that of listen() (docs/traps.md, trap
 * 5).  The 4-tuples and the port stay the same, so even a kernel that hashes shows which order
 * counts. */
void listen_order(struct trial *trial)
{
    int count = trial->question->flows;
    struct flow *flows = group_stands(trial, 0);
    if (flows == NULL)
        return;
    flows_serve(trial, "all", flows, count);
    struct outcome outcome = cross(trial);
    emit_attempt("crossed", outcome);
    if (outcome.call == NO_CALL)
        flows_serve(trial, "crossed", flows, count);
    flows_end(trial, flows, count);
}

/* 0, or -1 if the kernel refuses. */
static int bind_bystander(struct trial *trial, int index)
{
    struct outcome outcome = member_bind_first(trial, index);
    emit_member(index, outcome.call == NO_CALL ? trial->binds++ : -1, -1, outcome);
    return outcome.call == NO_CALL ? 0 : -1;
}

void bound_only(struct trial *trial)
{
    int count = trial->question->listeners, first = trial->question->position == BOUND_FIRST;
    if (trial->question->position == BOTH_ORDERS)
        unsupported(trial, "the socket that does not listen is bound first or last");
    reserve_port(trial);
    need_descriptors(trial, trial->question->flows);
    members_fork(trial, count + 1);
    if (first && bind_bystander(trial, count) != 0)
        return;
    if (members_stand(trial, count) != 0)
        return;
    if (!first && bind_bystander(trial, count) != 0)
        return;
    flows_serve_new(trial, "all", trial->question->flows);
    member_fail(trial, count, CLOSE);
    flows_serve_new(trial, "alone", trial->question->flows);
}
