/* `failure-arrivals`: a member fails in the middle of a stream of new flows. */
#include "scenarios.h"

#include "emit.h"
#include "flow.h"
#include "flows.h"
#include "limits.h"
#include "members.h"
#include "phase.h"
#include "ports.h"
#include "trial.h"
#include "victim.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* SERVICE: ms that a member takes for each flow, one after the other, as a blocking server does.
 * UNDER_WAY: flows at once at full speed.  Where one member serves all, or the CPU is emulated,
 * that is more than the guest serves in time, and every flow looks late.
 *
 * With `pace=measured` the phase `calm` (CALM flows, CALM_WINDOW at once) shows how fast the group
 * serves.  Of the stream, as many flows are under way as it serves in WAIT ms, from FEWEST to MOST:
 * more would only lengthen the queues.  A kernel repeats a SYN, so a wait must be short beside that;
 * it repeats no datagram (WAIT_DATAGRAM).  PLACE: ms for which a flow counts as under way.  It is
 * longer than the wait in a queue, so that a slow guest gets no more flows, and short enough for
 * the stream to go on beside a member that hangs. */
enum {
    SERVICE = 5, UNDER_WAY = 96,
    CALM = 48, CALM_WINDOW = 16, ENOUGH = 36,
    WAIT = 150, WAIT_DATAGRAM = 2 * WAIT, FEWEST = 6, MOST = 48, PLACE = 4 * WAIT
};

/* The phase runs up to `quiet` flows, waits until they are served, goes on to `half` with as many
 * flows at once as it began with, and then the member fails. */
struct arrivals {
    struct phase phase;
    int quiet, half;
};

static void fail(struct trial *trial, struct phase *phase)
{
    member_fail(trial, victim(trial, phase->flows, phase->started), trial->question->failure);
    phase->watch = phase->begun = NULL;
    phase->pause = 0;
}

/* Half of the flows must have begun; their fates show which members the stream reaches. */
static void fail_half_way(struct trial *trial, struct phase *phase)
{
    if (phase->started >= phase->count / 2)
        fail(trial, phase);
}

static void pause_when_due(struct trial *trial, struct phase *phase)
{
    const struct arrivals *arrivals = (const struct arrivals *)(void *)phase; /* its first field */
    (void)trial;
    phase->pause = phase->started == arrivals->quiet || phase->started == arrivals->half;
}

/* Who serves is known only when the flows so far are served; and with those that come next all at
 * once, each queue has its share of them when the member fails.  In a stream that only flows a
 * queue may be empty by chance. */
static void fail_after_quiet(struct trial *trial, struct phase *phase)
{
    const struct arrivals *arrivals = (const struct arrivals *)(void *)phase; /* its first field */
    if (!phase->pause)
        return;
    if (phase->started == arrivals->half)
        fail(trial, phase);
    else
        phase->pause = phase_waits(trial, phase) > 0;
}

static int earlier(const void *one, const void *other)
{
    int64_t a = *(const int64_t *)one, b = *(const int64_t *)other;
    return (a > b) - (a < b);
}

/* How long the group took for ENOUGH of the flows, in ms; 0: they were not served.  Those that came
 * last may have lost a SYN, and say nothing of its speed. */
static int64_t time_of_enough(const struct flow *flows)
{
    int64_t ends[CALM];
    size_t served = 0;
    for (int i = 0; i < CALM; i++)
        if (flows[i].fate == SERVED)
            ends[served++] = flows[i].ended;
    qsort(ends, served, sizeof ends[0], earlier);
    return served < ENOUGH ? 0 : ends[ENOUGH - 1] - flows[0].started;
}

/* How many flows the stream has under way at once; never more than a quarter of it. */
static int measure(struct trial *trial, int count)
{
    struct phase calm = { .name = "calm", .flows = flows_new(trial, CALM), .count = CALM,
                          .window = CALM_WINDOW, .young = PLACE };
    phase_run(trial, &calm);
    int64_t took = time_of_enough(calm.flows);
    int64_t wait = trial->question->udp ? WAIT_DATAGRAM : WAIT;
    int64_t window = took > 0 ? ENOUGH * wait / took : 0;
    flows_end(trial, calm.flows, CALM);
    window = window < FEWEST ? FEWEST : window > MOST ? MOST : window;
    window = window > count / 4 ? count / 4 : window;
    return window < 1 ? 1 : (int)window;
}

void failure_arrivals(struct trial *trial)
{
    int count = trial->question->flows, listeners = trial->question->listeners;
    int measured = trial->question->pace == MEASURED;
    trial->service = SERVICE;
    reserve_port(trial);
    need_descriptors(trial, count + CALM);
    members_fork(trial, listeners);
    if (members_stand(trial, listeners) != 0)
        return;
    struct arrivals arrivals = { .phase = { .name = "stream", .count = count,
                                            .window = UNDER_WAY, .watch = fail_half_way } };
    if (measured) {
        arrivals.phase.window = measure(trial, count);
        arrivals.phase.young = PLACE;
        arrivals.phase.watch = fail_after_quiet;
        arrivals.phase.begun = pause_when_due;
        arrivals.half = (count + 1) / 2;
        arrivals.quiet = arrivals.half - arrivals.phase.window;
        emit_fact("window", arrivals.phase.window);
    }
    arrivals.phase.flows = flows_new(trial, count);
    phase_run(trial, &arrivals.phase);
    flows_end(trial, arrivals.phase.flows, count);
}
