/* One connection of a client to a server of a plan: it asks, and hears the answer. */
#include "caller.h"

#include "addresses.h"
#include "ending.h"
#include "errno_name.h"
#include "flow.h"
#include "ports.h"
#include "sockets.h"
#include "trial.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

enum { BIND_TRIES = 300 };

static int again(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR || error == ENOTCONN;
}

static void open_socket(struct trial *trial, const struct caller *caller, struct flow *flow)
{
    struct linger reset = { .l_onoff = 1, .l_linger = 0 };
    int datagrams = caller->dialogue->datagrams, tries = 0, error;
    flow->fd = socket(AF_INET, datagrams ? SOCK_DGRAM : SOCK_STREAM, 0);
    if (flow->fd < 0)
        broken("a client has no socket: %s", errno_name(errno));
    if (set_nonblocking(flow->fd) != 0
        || (!datagrams
            && setsockopt(flow->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) != 0))
        broken("a client's socket takes no option: %s", errno_name(errno));
    do {
        flow->port = draw_port(trial);
        struct address place = address_of_client(trial, flow->port);
        if (bind(flow->fd, (struct sockaddr *)&place.storage, place.size) == 0)
            return;
        error = errno;
        trial->rebinds++;
    } while (error == EADDRINUSE && ++tries < BIND_TRIES);
    no_port(trial, flow->port, BIND_TRIES, error);
}

void caller_begin(struct trial *trial, struct caller *caller, struct flow *flow)
{
    struct address to = address_of_member(trial);
    flow_begin(flow, 0);
    caller->sent = caller->heard = 0;
    open_socket(trial, caller, flow);
    flow->state = caller->dialogue->datagrams ? OPEN : CONNECTING;
    if (connect(flow->fd, (struct sockaddr *)&to.storage, to.size) != 0) {
        int error = errno;
        if (error != EINPROGRESS && error != EINTR)
            flow_end(flow, FAILED, error);
    } else {
        flow->state = OPEN;
        caller_turn(caller, flow);
    }
}

void caller_again(struct caller *caller, struct flow *flow)
{
    caller->sent = caller->heard = 0;
    flow->fate = UNDECIDED;
    caller_turn(caller, flow);
}

static size_t size_of_request(const struct caller *caller)
{
    return caller->kept ? caller->dialogue->kept_size : caller->dialogue->size;
}

short caller_events(const struct caller *caller, const struct flow *flow)
{
    return flow->state == CONNECTING || caller->sent < size_of_request(caller) ? POLLOUT : POLLIN;
}

static void connected(struct flow *flow)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(flow->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    if (error != 0)
        flow_end(flow, FAILED, error);
    else
        flow->state = OPEN;
}

static void ask_on(struct caller *caller, struct flow *flow)
{
    const char *request = caller->kept ? caller->dialogue->kept : caller->dialogue->request;
    size_t size = size_of_request(caller);
    ssize_t put = send(flow->fd, request + caller->sent, size - caller->sent, 0);
    if (put >= 0)
        caller->sent += (size_t)put;
    else if (!again(errno))
        flow_lost(flow, errno);
}

/* A whole answer decides, whatever the connection does after it. */
static void take(struct caller *caller, struct flow *flow, int ended)
{
    int generation = dialogue_hear(caller->dialogue, caller->bytes, caller->heard, ended,
                                   caller->kept);
    if (generation == HEARD_PART && ended)
        flow_end(flow, ENDED, 0);
    else if (generation == HEARD_WRONG)
        flow_end(flow, REJECTED, 0);
    if (generation < 0)
        return;
    flow->answers = 1;
    flow->answered[0] = (uint16_t)generation;
    flow_end(flow, SERVED, 0);
}

static void hear(struct caller *caller, struct flow *flow)
{
    ssize_t got = recv(flow->fd, caller->bytes + caller->heard, ANSWER - caller->heard, 0);
    if (got < 0) {
        if (!again(errno))
            flow_end(flow, FAILED, errno);
        return;
    }
    caller->heard += (size_t)got;
    take(caller, flow, got == 0 || caller->dialogue->datagrams);
}

void caller_turn(struct caller *caller, struct flow *flow)
{
    if (flow->fate == UNDECIDED && flow->state == CONNECTING)
        connected(flow);
    if (flow->fate == UNDECIDED && caller->sent < size_of_request(caller))
        ask_on(caller, flow);
    else if (flow->fate == UNDECIDED)
        hear(caller, flow);
}

void caller_late(const struct caller *caller, struct flow *flow)
{
    int silent = flow->state == CONNECTING || caller->dialogue->datagrams;
    flow_end(flow, silent ? TIMED_OUT : LEFT_OPEN, 0);
}

void caller_end(struct flow *flow)
{
    if (flow->fd >= 0)
        close(flow->fd);
    flow->fd = -1;
}
