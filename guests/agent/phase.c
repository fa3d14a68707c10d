/* A phase: many flows at once, each until its fate or its deadline, on one poll(). */
#include "tun_tcp.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

enum {
    YOUNG = 100,     /* ms for which an unanswered flow holds its place in the window */
    LINGER = 30,     /* ms in which a second reply to a datagram may come */
    PATIENCE = 2000, /* ms beyond the deadline for which a port may stay in use */
    HANG_UP = 1000,  /* ms in which closed connections have to be so at both ends */
    TURN = 10        /* ms, the longest wait while more flows are to begin */
};

static int start(struct trial *trial, struct phase *phase, struct flow *flow, uint32_t number)
{
    if (trial->question->peer == TUN)
        return peer_start(trial, flow, number);
    return flow_start(trial, flow, number, phase->handshake);
}

static void resume(struct trial *trial, struct flow *flow)
{
    flow_resume(flow);
    if (trial->question->peer == TUN)
        peer_complete(trial, flow);
}

/* 0, or -1 if the flow has to wait for its port; the others go on meanwhile. */
static int begin(struct trial *trial, struct phase *phase, struct flow *flow)
{
    uint32_t number = (uint32_t)trial->phases << 20 | (uint32_t)phase->started;
    if (phase->resume) {
        resume(trial, flow);
    } else if (phase->echo) {
        flow_echo(trial, flow, number);
    } else if (start(trial, phase, flow, number) != 0) {
        phase->busy = phase->busy > 0 ? phase->busy : clock_ms();
        if (clock_ms() - phase->busy > trial->question->deadline + PATIENCE)
            broken("port %d of a client stays in use", flow->port);
        return -1;
    }
    phase->busy = 0;
    phase->started++;
    return 0;
}

/* However the flows fall, those in flight must fit one listener's queue: a SYN that our own haste
 * has dropped comes again after a second, and would read as a slow kernel. */
static int queue_holds(int backlog)
{
    return backlog < 1 ? 1 : backlog < WINDOW ? backlog : WINDOW;
}

/* Places are lent for a moment only: a listener that answers nobody must not stop the others. */
static void begin_more(struct trial *trial, struct phase *phase)
{
    int usual = trial->question->udp ? WINDOW : queue_holds(trial->backlog);
    int young = 0, window = phase->window > 0 ? phase->window : usual;
    int at_once = phase->resume && trial->question->peer != TUN; /* its wire holds few packets */
    int64_t now = clock_ms();
    for (int i = phase->settled; i < phase->started; i++)
        young += phase->flows[i].fate == UNDECIDED && now - phase->flows[i].started < YOUNG;
    while (phase->started < phase->count && !phase->pause && (young < window || at_once)) {
        struct flow *flow = &phase->flows[phase->started];
        if (begin(trial, phase, flow) != 0)
            break;
        young += flow->fate == UNDECIDED;
        if (phase->begun != NULL)
            phase->begun(trial, phase);
    }
}

/* Its port is given back at once, somebody may wait for it; not by a connection that holds a place
 * in a listener's queue, or another flow could take that and the queue look longer than it is. */
static void time_out(struct trial *trial, struct phase *phase, struct flow *flow)
{
    int unheard = flow->state == CONNECTING || trial->question->udp || peer_unheard(flow);
    flow_end(flow, unheard ? TIMED_OUT : LEFT_OPEN, 0);
    if (unheard && !phase->handshake) {
        flow_close(flow);
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

/* The far end of our own has one wire for all flows. */
static void turn_of_peer(struct trial *trial, struct phase *phase, int wait)
{
    struct pollfd polls[2] = {
        { .fd = phase->watched > 0 ? phase->watched : -1, .events = POLLIN },
        { .fd = link_descriptor(), .events = POLLIN }
    };
    if (poll(polls, 2, wait < TURN ? wait : TURN) < 0 && errno != EINTR)
        broken("poll: %s", errno_name(errno));
    phase->heard = polls[0].revents != 0;
    if (phase->watch != NULL)
        phase->watch(trial, phase);
    peer_hear(trial, phase);
    peer_repeat(trial, phase);
}

/* Polls the flows from `first` on whose fate is as wanted; TCP flows that are served are closed at
 * once unless they are kept. */
static void turn(struct trial *trial, struct phase *phase, int first, enum fate fate, int wait)
{
    size_t room = (size_t)(phase->started - first) + 1;
    struct pollfd *polls = malloc(room * sizeof *polls);
    int *indexes = malloc(room * sizeof *indexes), used = 1;
    if (polls == NULL || indexes == NULL)
        short_of(trial, "memory for %d flows", phase->started);
    polls[0] = (struct pollfd){ .fd = phase->watched > 0 ? phase->watched : -1, .events = POLLIN };
    for (int i = first; i < phase->started; i++) {
        const struct flow *flow = &phase->flows[i];
        if (flow->fate != fate || flow->state == DONE)
            continue;
        polls[used] = (struct pollfd){ .fd = flow->fd, .events = POLLIN };
        if (flow->state == CONNECTING)
            polls[used].events = POLLOUT;
        indexes[used++] = i;
    }
    if (poll(polls, (nfds_t)used, wait) < 0 && errno != EINTR)
        broken("poll: %s", errno_name(errno));
    phase->heard = polls[0].revents != 0;
    if (phase->watch != NULL)
        phase->watch(trial, phase); /* before a flow that has news counts as ended */
    for (int i = 1; i < used; i++) {
        struct flow *flow = &phase->flows[indexes[i]];
        if (polls[i].revents != 0)
            flow_wake(trial, phase, flow);
        if (flow->fate == SERVED && !phase->keep && !trial->question->udp)
            flow_close(flow);
    }
    free(polls);
    free(indexes);
}

/* Datagrams may be answered by several members; the first answer does not end the flow. */
static void linger(struct trial *trial, struct phase *phase)
{
    int64_t until = clock_ms() + LINGER, left;
    while ((left = until - clock_ms()) > 0)
        turn(trial, phase, 0, SERVED, (int)left);
}

static void close_flows(struct phase *phase)
{
    for (int i = 0; i < phase->started; i++) {
        struct flow *flow = &phase->flows[i];
        int goes_on = (phase->keep && flow->fate == SERVED)
            || (phase->handshake && flow->state != DONE);
        if (!goes_on) {
            flow_close(flow);
            flow->state = DONE;
        }
    }
}

/* Connections that are being closed are, before their listeners are asked for anything else. */
static void hang_up(struct trial *trial, struct phase *phase)
{
    int64_t until = clock_ms() + HANG_UP;
    for (int i = 0; i < phase->started; i++)
        while (phase->flows[i].wire.at == CLOSING && clock_ms() < until)
            turn_of_peer(trial, phase, TURN);
}

/* Runs the phase; it is said unless it has no name. */
void phase_run(struct trial *trial, struct phase *phase)
{
    trial->phases++;
    phase->started = phase->settled = phase->heard = 0;
    while (phase->settled < phase->count || phase->hold) {
        begin_more(trial, phase);
        int wait = expire(trial, phase);
        if (phase->settled == phase->count && !phase->hold)
            break;
        if (trial->question->peer == TUN)
            turn_of_peer(trial, phase, wait);
        else
            turn(trial, phase, phase->settled, UNDECIDED, wait);
    }
    if (phase->watch != NULL)
        phase->watch(trial, phase);
    if (trial->question->udp)
        linger(trial, phase);
    close_flows(phase);
    if (trial->question->peer == TUN)
        hang_up(trial, phase);
    if (phase->name != NULL)
        emit_flows(trial, phase->name, phase->flows, phase->count, 0);
}

void flows_serve(struct trial *trial, const char *name, struct flow *flows, int count)
{
    struct phase phase = { .name = name, .flows = flows, .count = count };
    phase_run(trial, &phase);
}

/* TCP connections stay, to be used again by flows_echo(). */
void flows_hold(struct trial *trial, const char *name, struct flow *flows, int count)
{
    struct phase phase = { .name = name, .flows = flows, .count = count, .keep = 1 };
    phase_run(trial, &phase);
}

void flows_echo(struct trial *trial, const char *name, struct flow *flows, int count)
{
    struct phase phase = { .name = name, .flows = flows, .count = count, .keep = 1, .echo = 1 };
    phase_run(trial, &phase);
}

void flows_end(struct flow *flows, int count)
{
    for (int i = 0; i < count; i++)
        flow_close(&flows[i]);
    free(flows);
}
