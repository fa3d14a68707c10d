/* One flow of a client: connect from a bound port, send token and number, read them back with the
 * index of the member that served it. */
#include "tun_tcp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BIND_TRIES = 300, RESTART_TRIES = 200 };

struct flow *flows_new(struct trial *trial, int count)
{
    struct flow *flows = calloc((size_t)count, sizeof *flows);
    if (flows == NULL)
        short_of(trial, "memory for %d flows", count);
    for (int i = 0; i < count; i++)
        flows[i].fd = -1;
    return flows;
}

/* A fate; the socket of a flow that was served, or whose time is up, may go on. */
void flow_end(struct flow *flow, enum fate fate, int error)
{
    if (fate == FAILED || fate == ENDED || fate == FOREIGN)
        flow->state = DONE;
    flow->fate = fate;
    flow->error = error;
    flow->ended = clock_ms();
}

/* With RST (SO_LINGER 0), or the 4-tuple could not be used again for minutes. */
void flow_close(struct flow *flow)
{
    peer_hang_up(flow);
    if (flow->fd >= 0)
        close(flow->fd);
    flow->fd = -1;
}

/* `::` may stand where the loopback interface has no ::1; reserve_port() does not see that. */
static void no_port(struct trial *trial, int port, int error)
{
    if (error == EADDRNOTAVAIL && trial->question->source == MANY_ADDRESSES)
        unsupported(trial, "this guest has one loopback address of IPv4 only: bind: %s",
                    errno_name(error));
    if (error == EADDRNOTAVAIL && trial->question->family == IPV6)
        unsupported(trial, "no ::1 here: bind: %s", errno_name(error));
    if (error == EADDRINUSE)
        short_of(trial, "ports: %d tries to bind a client: %s", BIND_TRIES, errno_name(error));
    broken("a client cannot bind port %d: %s", port, errno_name(error));
}

/* A port in use is drawn again, unless it must be a certain one: then -1, to be tried later. */
static int bind_flow(struct trial *trial, struct flow *flow)
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
        no_port(trial, flow->port, error);
    flow_close(flow);
    return -1;
}

static int flow_socket(struct trial *trial, struct flow *flow)
{
    struct linger reset = { .l_onoff = 1, .l_linger = 0 };
    int udp = trial->question->udp;
    flow->fd = socket(trial->question->family == IPV6 ? AF_INET6 : AF_INET,
                      udp ? SOCK_DGRAM : SOCK_STREAM, 0);
    if (flow->fd < 0)
        broken("a client has no socket: %s", errno_name(errno));
    if (set_nonblocking(flow->fd) != 0
        || (!udp && setsockopt(flow->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) != 0))
        broken("a client's socket takes no option: %s", errno_name(errno));
    return bind_flow(trial, flow);
}

/* After a reset some kernels say EPIPE to a writer and keep the reason for the reader. */
static void flow_lost(struct flow *flow, int error)
{
    char byte;
    if (error == EPIPE) {
        ssize_t got = recv(flow->fd, &byte, 1, 0);
        int reason = errno;
        if (got == 0) {
            flow_end(flow, ENDED, 0);
            return;
        }
        if (got < 0 && reason != EAGAIN && reason != EWOULDBLOCK)
            error = reason;
    }
    flow_end(flow, FAILED, error);
}

void flow_request(const struct trial *trial, const struct flow *flow, unsigned char *request)
{
    memcpy(request, trial->token, TOKEN);
    for (int i = 0; i < 4; i++)
        request[TOKEN + i] = (unsigned char)(flow->number >> (24 - 8 * i));
}

static void flow_send(struct trial *trial, struct flow *flow)
{
    unsigned char request[REQUEST];
    flow_request(trial, flow, request);
    int put = send_patiently(flow->fd, request, sizeof request, NULL, &trial->resends);
    int error = errno;
    if (put >= 0 && put < REQUEST)
        broken("a client can send only a part of %d bytes", REQUEST);
    if (put < 0 && (error == ENOBUFS || error == EAGAIN))
        broken("a client cannot send: %s", errno_name(error));
    if (put < 0)
        flow_lost(flow, error);
}

static void flow_opened(struct trial *trial, struct flow *flow, int handshake)
{
    flow->state = OPEN;
    flow_send(trial, flow);
    if (handshake && flow->fate == UNDECIDED)
        flow_end(flow, LEFT_OPEN, 0);
}

/* Not a fate but the client's own failure: the 4-tuple is still somebody's, or its port is. */
static int port_in_use(int error)
{
    return error == EADDRINUSE || error == EADDRNOTAVAIL;
}

void flow_begin(struct flow *flow, uint32_t number)
{
    flow->number = number;
    flow->fate = UNDECIDED;
    flow->received = flow->answers = 0;
    flow->started = flow->ended = clock_ms();
}

/* 0, or -1 if its port is in use: the connection that had it was reset, but on some kernels its end
 * passes through a queue, and other programs draw ports, too. */
int flow_start(struct trial *trial, struct flow *flow, uint32_t number, int handshake)
{
    int certain = flow->port != 0;
    if (flow_socket(trial, flow) != 0)
        return -1;
    struct address place = address_of_client(trial, trial->port);
    flow_begin(flow, number);
    int failed = connect(flow->fd, (struct sockaddr *)&place.storage, place.size);
    int error = errno;
    if (failed != 0 && port_in_use(error)) {
        trial->rebinds++;
        flow_close(flow);
        flow->port = certain ? flow->port : 0;
        return -1;
    }
    if (failed == 0)
        flow_opened(trial, flow, handshake);
    else if (error == EINPROGRESS)
        flow->state = CONNECTING;
    else
        flow_end(flow, FAILED, error);
    return 0;
}

/* Some kernels find out after connect() has returned (dragonfly: tcp_usr_connect(), PRUC_ASYNC). */
static void flow_restart(struct trial *trial, struct flow *flow, int handshake)
{
    int tries = 0;
    trial->rebinds++;
    do {
        flow_close(flow);
        pause_ms(10);
        if (++tries > RESTART_TRIES)
            broken("a client's port %d stays in use", flow->port);
    } while (flow_start(trial, flow, flow->number, handshake) != 0);
}

/* The reply must carry the token, and this flow's number of this phase. */
static uint32_t number_carried(const struct flow *flow)
{
    const unsigned char *number = flow->bytes + TOKEN;
    return (uint32_t)number[0] << 24 | (uint32_t)number[1] << 16 | (uint32_t)number[2] << 8
        | number[3];
}

static void flow_answered(const struct trial *trial, struct flow *flow)
{
    int member = flow->bytes[REQUEST] << 8 | flow->bytes[REQUEST + 1];
    int ours = memcmp(flow->bytes, trial->token, TOKEN) == 0 && member < trial->indexes;
    if (ours && number_carried(flow) != flow->number)
        return; /* a late datagram of an earlier phase on the same ports */
    if (!ours && flow->answers == 0)
        flow_end(flow, FOREIGN, 0);
    if (ours && flow->answers < MAX_MEMBERS)
        flow->answered[flow->answers++] = (uint16_t)member;
    if (ours && flow->answers == 1)
        flow_end(flow, SERVED, 0);
}

/* Bytes that are in flow->bytes, `count` of them new. */
static void flow_grown(const struct trial *trial, struct flow *flow, int count)
{
    int udp = trial->question->udp;
    flow->received = udp ? 0 : flow->received + count;
    size_t begun = flow->received < TOKEN ? (size_t)flow->received : TOKEN;
    if ((udp && count != REPLY) || memcmp(flow->bytes, trial->token, udp ? 0 : begun) != 0)
        flow_end(flow, FOREIGN, 0);
    else if (udp || flow->received == REPLY)
        flow_answered(trial, flow);
    if (flow->received == REPLY)
        flow->received = 0;
}

/* Bytes that came without a socket. */
void flow_hear(const struct trial *trial, struct flow *flow, const unsigned char *bytes, int count)
{
    int room = REPLY - flow->received;
    if (count > room)
        count = room; /* nobody of ours says more */
    memcpy(flow->bytes + flow->received, bytes, (size_t)count);
    flow_grown(trial, flow, count);
}

static void flow_read(const struct trial *trial, struct flow *flow)
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

void flow_wake(struct trial *trial, const struct phase *phase, struct flow *flow)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (flow->state == OPEN) {
        flow_read(trial, flow);
        return;
    }
    if (getsockopt(flow->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    if (port_in_use(error))
        flow_restart(trial, flow, phase->handshake);
    else if (error != 0)
        flow_end(flow, FAILED, error);
    else
        flow_opened(trial, flow, phase->handshake);
}

/* Goes on with a socket as it is; a flow that has come to its end keeps its fate. */
void flow_resume(struct flow *flow)
{
    flow->started = clock_ms();
    if (flow->state == DONE)
        flow->ended = flow->started;
    else
        flow->fate = UNDECIDED;
}

/* Sends again on a connection that was served.  What has come in the meantime, an end or an error,
 * is read first: some kernels forget it when one writes. */
void flow_echo(struct trial *trial, struct flow *flow, uint32_t number)
{
    flow_resume(flow);
    if (flow->state == DONE)
        return;
    flow->number = number;
    flow->received = flow->answers = 0;
    flow_read(trial, flow);
    if (flow->fate == UNDECIDED)
        flow_send(trial, flow);
}
