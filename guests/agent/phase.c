/* A phase: many flows at once, each until it has its fate or its deadline. */
#include "phase.h"

#include "client.h"
#include "clock.h"
#include "emit.h"
#include "ending.h"

#include <stddef.h>

enum {
    YOUNG = 100,     /* ms for which a flow holds its place that goes on, or waits for a repeat */
    LINGER = 30,     /* ms in which a second reply to a datagram may come */
    PATIENCE = 2000, /* ms beyond the deadline for which a port may stay in use */
    TURN = 10        /* ms, the longest wait while more flows are to begin */
};

/* 0, or -1 if the flow has to wait for its port; the others go on meanwhile. */
static int begin(struct trial *trial, struct phase *phase, struct flow *flow)
{
    uint32_t number = (uint32_t)trial->phases << 20 | (uint32_t)phase->started;
    if (phase->resume) {
        trial->client->resume(trial, phase, flow);
    } else if (phase->echo) {
        trial->client->echo(trial, flow, number);
    } else if (trial->client->start(trial, phase, flow, number) != 0) {
        phase->busy = phase->busy > 0 ? phase->busy : clock_ms();
        if (clock_ms() - phase->busy > trial->question->deadline + PATIENCE)
            broken("port %d of a client stays in use", flow->port);
        return -1;
    }
    phase->busy = 0;
    phase->started++;
    return 0;
}

/* All flows in flight may reach one listener, and must fit its accept queue.  A SYN that is dropped
 * because the agent hurries comes again after a second, and the kernel would look slow. */
static int window_of(const struct trial *trial, const struct phase *phase)
{
    int usual = trial->client->window, backlog = trial->backlog < 1 ? 1 : trial->backlog;
    if (phase->window > 0)
        return phase->window;
    return trial->question->udp || usual < backlog ? usual : backlog;
}

/* A flow holds its place in the window only while it is young: a listener that answers nobody must
 * not stop the flows of the others. */
int phase_waits(const struct trial *trial, const struct phase *phase)
{
    int64_t now = clock_ms();
    int usual = phase->resume || phase->half_open > 1 ? YOUNG : trial->client->young;
    int count = 0, young = phase->young > 0 ? phase->young : usual;
    for (int i = phase->settled; i < phase->started; i++)
        count += phase->flows[i].fate == UNDECIDED && now - phase->flows[i].started < young;
    return count;
}

static void begin_more(struct trial *trial, struct phase *phase)
{
    int closing = trial->client->closing(), window = window_of(trial, phase);
    int young = closing < window ? closing : window - 1; /* one goes on, whatever never closes */
    int at_once = phase->resume && trial->client->all_at_once;
    young += phase_waits(trial, phase);
    while (phase->started < phase->count && !phase->pause && (young < window || at_once)) {
        struct flow *flow = &phase->flows[phase->started];
        if (begin(trial, phase, flow) != 0)
            break;
        young += flow->fate == UNDECIDED;
        if (phase->begun != NULL)
            phase->begun(trial, phase);
    }
}

/* The port is given back at once, because another question may wait for it.  A connection that
 * holds a place in an accept queue stays: another flow could take the place, and the queue would
 * look longer than it is. */
static void time_out(struct trial *trial, struct phase *phase, struct flow *flow)
{
    int unheard = flow->state == CONNECTING || trial->question->udp
        || trial->client->unheard(flow);
    flow_end(flow, unheard ? TIMED_OUT : LEFT_OPEN, 0);
    if (unheard && !phase->handshake) {
        trial->client->hang_up(flow);
        flow->state = DONE;
    }
}

/* Ends flows whose time is up, and returns for how long at most the next turn may wait. */
static int expire(struct trial *trial, struct phase *phase)
{
    int64_t now = clock_ms();
    int deadline = phase->deadline > 0 ? phase->deadline : trial->question->deadline;
    int wait = phase->started < phase->count || phase->hold ? TURN : deadline;
    for (int i = phase->settled; i < phase->started; i++) {
        struct flow *flow = &phase->flows[i];
        int64_t left = flow->started + deadline - now;
        if (flow->fate != UNDECIDED)
            continue;
        if (left <= 0)
            time_out(trial, phase, flow);
        else if (left < wait)
            wait = (int)left;
    }
    while (phase->settled < phase->started && phase->flows[phase->settled].fate != UNDECIDED)
        phase->settled++;
    return wait;
}

/* The watcher comes first: a flow that has news is still under way for it. */
void phase_turned(struct trial *trial, struct phase *phase, int events)
{
    phase->heard = events != 0;
    if (phase->watch != NULL)
        phase->watch(trial, phase);
}

/* Several members may answer one datagram; the first reply does not end the flow. */
static void linger(struct trial *trial, struct phase *phase)
{
    int64_t until = clock_ms() + LINGER, left;
    while ((left = until - clock_ms()) > 0)
        trial->client->turn(trial, phase, 0, SERVED, (int)left);
}

static void hang_up(struct trial *trial, struct phase *phase)
{
    for (int i = 0; i < phase->started; i++) {
        struct flow *flow = &phase->flows[i];
        int goes_on = (phase->keep && flow->fate == SERVED)
            || (phase->handshake && flow->state != DONE);
        if (!goes_on) {
            trial->client->hang_up(flow);
            flow->state = DONE;
        }
    }
    trial->client->hung_up(trial, phase);
}

void phase_run(struct trial *trial, struct phase *phase)
{
    trial->phases++;
    phase->started = phase->settled = phase->heard = 0;
    while (phase->settled < phase->count || phase->hold) {
        begin_more(trial, phase);
        int wait = expire(trial, phase);
        if (phase->settled == phase->count && !phase->hold)
            break;
        trial->client->turn(trial, phase, phase->settled, UNDECIDED, wait);
    }
    if (phase->watch != NULL)
        phase->watch(trial, phase);
    if (trial->question->udp)
        linger(trial, phase);
    hang_up(trial, phase);
    if (phase->name != NULL)
        emit_flows(trial, phase->name, phase->flows, phase->count, 0);
}
