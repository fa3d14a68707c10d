/* Clients that are sockets: each flow connects from a port of its own, sends its request, and reads
 * the reply. */
#include "socket_client.h"

#include "addresses.h"
#include "clock.h"
#include "ending.h"
#include "errno_name.h"
#include "fast_open.h"
#include "flow.h"
#include "multipath.h"
#include "phase.h"
#include "ports.h"
#include "request.h"
#include "sockets.h"
#include "trial.h"
#include "unsupported.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

/* YOUNG: a listener that answers nobody must not stop the flows of the others. */
enum { BIND_TRIES = 300, RESTART_TRIES = 200, YOUNG = 100 };

/* SO_LINGER 0 makes it a RST, so that the 4-tuple can be used again (docs/traps.md, trap 7). */
static void hang_up(struct flow *flow)
{
    if (flow->fd >= 0)
        close(flow->fd);
    flow->fd = -1;
}

/* Draws another port if one is in use.  A flow that must have the port it had: -1, try it later. */
static int bind_port(struct trial *trial, struct flow *flow)
{
    int certain = flow->port != 0, tries = 0, error;
    do {
        if (!certain)
            flow->port = draw_port(trial);
        struct address place = address_of_client(trial, flow->port);
        int failed = bind(flow->fd, (struct sockaddr *)&place.storage, place.size);
        error = errno;
        if (failed == 0)
            return 0;
        trial->rebinds++;
    } while (error == EADDRINUSE && !certain && ++tries < BIND_TRIES);
    if (error != EADDRINUSE || !certain)
        no_port(trial, flow->port, BIND_TRIES, error);
    hang_up(flow);
    return -1;
}

static int open_socket(struct trial *trial, struct flow *flow)
{
    struct linger reset = { .l_onoff = 1, .l_linger = 0 };
    int udp = trial->question->udp;
    flow->fd = socket_of_client(trial);
    if (flow->fd < 0)
        broken("a client has no socket: %s", errno_name(errno));
    if (set_nonblocking(flow->fd) != 0
        || (!udp && setsockopt(flow->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) != 0))
        broken("a client's socket takes no option: %s", errno_name(errno));
    return bind_port(trial, flow);
}

/* A member that is bound to the wildcard may answer from another address than the one that a
 * client of many addresses sent to, and a connected socket would not get the answer. */
static int connected(const struct trial *trial)
{
    return !trial->question->udp || !trial->spread;
}

static void send_request(struct trial *trial, struct flow *flow)
{
    unsigned char request[REQUEST];
    struct address place = address_of_client(trial, trial->port);
    request_write(trial, flow->number, request);
    int put = send_patiently(flow->fd, request, sizeof request, connected(trial) ? NULL : &place,
                             &trial->resends);
    int error = errno;
    if (put >= 0 && put < REQUEST)
        broken("a client can send only a part of %d bytes", REQUEST);
    if (put < 0 && (error == ENOBUFS || error == EAGAIN))
        broken("a client cannot send: %s", errno_name(error));
    if (put < 0)
        flow_lost(flow, error);
}

static void opened(struct trial *trial, const struct phase *phase, struct flow *flow)
{
    flow->state = OPEN;
    multipath_check(trial, flow->fd);
    flow->silent = phase->silent;
    if (phase->fast_open)
        fast_open_check(trial, flow->fd);
    else if (!flow->silent)
        send_request(trial, flow);
    if (phase->handshake && flow->fate == UNDECIDED)
        flow_end(flow, LEFT_OPEN, 0);
}

/* The client's own failure and no fate: another connection still has the 4-tuple, or the port. */
static int port_in_use(int error)
{
    return error == EADDRINUSE || error == EADDRNOTAVAIL;
}

/* The connection that had the port was reset, but on some kernels its end passes through a queue;
 * and other programs draw ports, too. */
static int start(struct trial *trial, const struct phase *phase, struct flow *flow,
                 uint32_t number)
{
    int certain = flow->port != 0;
    if (open_socket(trial, flow) != 0)
        return -1;
    struct address place = address_of_client(trial, trial->port);
    flow_begin(flow, number);
    if (phase->fast_open)
        fast_open_begin(flow->fd);
    int failed = connected(trial)
        ? connect(flow->fd, (struct sockaddr *)&place.storage, place.size) : 0;
    int error = errno;
    if (failed != 0 && port_in_use(error)) {
        trial->rebinds++;
        hang_up(flow);
        flow->port = certain ? flow->port : 0;
        return -1;
    }
    flow->state = CONNECTING;
    if (failed == 0 && phase->fast_open)
        send_request(trial, flow); /* the SYN goes with it */
    else if (failed == 0)
        opened(trial, phase, flow);
    else if (error != EINPROGRESS)
        flow_end(flow, FAILED, error);
    return 0;
}

/* Some kernels say that the port is in use after connect() has returned (dragonfly:
 * tcp_usr_connect(), PRUC_ASYNC). */
static void restart(struct trial *trial, const struct phase *phase, struct flow *flow)
{
    int tries = 0;
    trial->rebinds++;
    do {
        hang_up(flow);
        pause_ms(10);
        if (++tries > RESTART_TRIES)
            broken("a client's port %d stays in use", flow->port);
    } while (start(trial, phase, flow, flow->number) != 0);
}

static void read_reply(const struct trial *trial, struct flow *flow)
{
    size_t room = (size_t)(REPLY - flow->received);
    ssize_t got = recv(flow->fd, flow->bytes + flow->received, room, 0);
    int error = errno, udp = trial->question->udp;
    if (got < 0 && (error == EAGAIN || error == EWOULDBLOCK || error == EINTR))
        return;
    if (flow->fate == SERVED && udp && got != REPLY)
        return; /* what comes after the answer matters only if it is another */
    if (got < 0 || (got == 0 && !udp)) {
        flow_end(flow, got == 0 ? ENDED : FAILED, error);
        return;
    }
    flow_grown(trial, flow, (int)got);
}

static void wake(struct trial *trial, const struct phase *phase, struct flow *flow)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (flow->state == OPEN) {
        read_reply(trial, flow);
        return;
    }
    if (getsockopt(flow->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    if (port_in_use(error))
        restart(trial, phase, flow);
    else if (error != 0)
        flow_end(flow, FAILED, error);
    else
        opened(trial, phase, flow);
}

/* Reads first whether the connection has ended meanwhile: some kernels forget that at a send(). */
static void echo(struct trial *trial, struct flow *flow, uint32_t number)
{
    flow_resume(flow);
    if (flow->state == DONE)
        return;
    flow->number = number;
    flow->received = flow->answers = 0;
    read_reply(trial, flow);
    if (flow->fate == UNDECIDED)
        send_request(trial, flow);
}

/* Polls all flows at once; those that are served are closed unless the phase keeps them. */
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
    phase_turned(trial, phase, polls[0].revents);
    for (int i = 1; i < used; i++) {
        struct flow *flow = &phase->flows[indexes[i]];
        if (polls[i].revents != 0)
            wake(trial, phase, flow);
        if (flow->fate == SERVED && !phase->keep && !trial->question->udp)
            hang_up(flow);
    }
    free(polls);
    free(indexes);
}

static void open_nothing(struct trial *trial)
{
    (void)trial;
}

static void close_nothing(void)
{
}

static void resume(struct trial *trial, const struct phase *phase, struct flow *flow)
{
    (void)phase;
    flow_resume(flow);
    if (flow->silent && flow->fate == UNDECIDED) {
        flow->silent = 0;
        send_request(trial, flow);
    }
}

static int unheard(const struct flow *flow)
{
    (void)flow;
    return 0;
}

/* A RST needs no answer. */
static void hung_up(struct trial *trial, struct phase *phase)
{
    (void)trial, (void)phase;
}

static int closing(void)
{
    return 0;
}

const struct client socket_client = {
    .open = open_nothing, .leave = close_nothing, .close = close_nothing, .start = start,
    .resume = resume, .echo = echo, .turn = turn, .unheard = unheard, .hang_up = hang_up,
    .hung_up = hung_up, .closing = closing, .window = WINDOW, .young = YOUNG, .sockets = 1,
    .all_at_once = 1
};
