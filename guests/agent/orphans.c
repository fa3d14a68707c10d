/* `orphans`: a worker closes its listener or ends, but something else still holds the socket.  Do
 * new connections go on to reach it? */
#include "scenarios.h"

#include "clock.h"
#include "emit.h"
#include "ending.h"
#include "errno_name.h"
#include "flow.h"
#include "flows.h"
#include "group.h"
#include "members.h"
#include "platform_ring.h"
#include "question.h"
#include "trial.h"
#include "unsupported.h"
#include "victim.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>

/* LATER: Linux ends the io_uring of a process after the process (io_ring_exit_work()). */
enum { FREED = 16, TRYING = 2000, LATER = 50, QUIET = 3000, LETTING_GO = 5000 };

static void need_holder(struct trial *trial)
{
    int missing = trial->question->holder == RING ? platform_ring_missing() : 0;
    if (missing != 0)
        unsupported(trial, "no io_uring here: %s", errno_name(missing));
    if (trial->question->holder == RING && trial->question->udp)
        unsupported(trial, "datagrams are not accepted");
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, trial->leash) != 0)
        broken("socketpair: %s", errno_name(errno));
}

static void hold(struct trial *trial, int index)
{
    struct outcome outcome = member_do(trial, index, HOLD);
    if (outcome.call == CALL_RING)
        unsupported(trial, "io_uring does not go on accepting here: %s",
                    errno_name(outcome.error));
    emit_change(trial, holder_name(trial->question->holder), index, outcome.error);
}

/* An armed accept() ends with its process. */
static void let_go(struct trial *trial, int index)
{
    struct pollfd news = { .fd = trial->leash[0], .events = POLLIN };
    char byte;
    if (trial->question->holder == RING && trial->members[index].pid > 0)
        member_fail_quietly(trial, index, KILL);
    if (trial->question->holder == CHILD
        && (shutdown(trial->leash[0], SHUT_WR) != 0 || poll(&news, 1, LETTING_GO) != 1
            || recv(trial->leash[0], &byte, 1, 0) != 1))
        broken("the child that holds listener %d does not let it go", index);
    emit_change(trial, "let-go", index, 0);
}

/* A connection that nobody answers keeps its place, so that `fates` tells what becomes of it. */
static void arrive(struct trial *trial, struct flow *flows, int count)
{
    if (trial->question->udp) {
        flows_serve(trial, "after", flows, count);
        return;
    }
    flows_queue(trial, "queued", flows, count);
    flows_wait(trial, "after", flows, count, QUIET);
}

static int all_served(const struct flow *flows, int count)
{
    for (int i = 0; i < count; i++)
        if (flows[i].fate != SERVED)
            return 0;
    return 1;
}

/* The control: once nothing holds the listener, everybody is served.  The last try is the one that
 * is said. */
static void serve_freed(struct trial *trial)
{
    struct flow *flows = flows_new(trial, FREED);
    int64_t until = clock_ms() + TRYING;
    flows_serve(trial, NULL, flows, FREED);
    while (!all_served(flows, FREED) && clock_ms() < until) {
        pause_ms(LATER);
        flows_serve(trial, NULL, flows, FREED);
    }
    emit_flows(trial, "freed", flows, FREED, 0);
    flows_end(trial, flows, FREED);
}

void orphans(struct trial *trial)
{
    int count = trial->question->flows;
    need_holder(trial);
    struct flow *flows = group_stands(trial, 0);
    if (flows == NULL)
        return;
    flows_serve(trial, "home", flows, count);
    int leaves = victim(trial, flows, count);
    hold(trial, leaves);
    member_fail(trial, leaves, trial->question->failure);
    arrive(trial, flows, count);
    let_go(trial, leaves);
    if (!trial->question->udp)
        flows_settle(trial, flows, count);
    flows_end(trial, flows, count);
    serve_freed(trial);
}
