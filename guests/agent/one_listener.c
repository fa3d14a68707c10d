/* `one-listener`: one socket without any option, which every worker has inherited, as a pre-fork
 * server's have; which worker gets the connections?  It says how much better a group does. */
#include "scenarios.h"

#include "addresses.h"
#include "clock.h"
#include "emit.h"
#include "ending.h"
#include "errno_name.h"
#include "flow.h"
#include "flows.h"
#include "limits.h"
#include "members.h"
#include "outcome.h"
#include "phase.h"
#include "platform_wait.h"
#include "ports.h"
#include "request.h"
#include "sockets.h"
#include "trial.h"
#include "unsupported.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    CONNECTIONS = 256, /* of one worker at once; the window of a phase is smaller */
    SETTLE_MS = 20,    /* a worker has begun to wait by then */
    TRIES = 5
};

static int listener; /* the one socket; workers inherit it */

struct served {
    int fd;
    struct incoming request;
};

struct server {
    const struct trial *trial;
    int index, control, queue, count;
    struct served connections[CONNECTIONS];
    struct pollfd polls[CONNECTIONS + 2];
};

/* Out of descriptors is the agent's own failure; another worker may have been quicker. */
static void take(struct server *server)
{
    int fd = server->count < CONNECTIONS ? accept(listener, NULL, NULL) : -1;
    if (fd < 0) {
        if (server->count == CONNECTIONS || errno == EMFILE || errno == ENFILE)
            _exit(EXIT_BROKEN);
        return;
    }
    if (set_nonblocking(fd) != 0
        || (server->queue >= 0 && platform_wait_add(server->queue, fd, 0) != 0))
        _exit(EXIT_BROKEN);
    server->connections[server->count++] = (struct served){ .fd = fd };
}

static void answer(struct server *server, int fd)
{
    for (int i = 0; i < server->count; i++) {
        struct served *one = &server->connections[i];
        if (one->fd != fd
            || answer_connection(server->trial, server->index, fd, &one->request) == 0)
            continue;
        close(fd); /* no queue waits for it any longer */
        *one = server->connections[--server->count];
        return;
    }
}

static void ready(struct server *server, int fd)
{
    if (fd == server->control || fd < 0)
        _exit(0);
    if (fd == listener)
        take(server);
    else
        answer(server, fd);
}

/* As many servers do: one connection for each wake-up, and then those that are open. */
static void wait_by_poll(struct server *server)
{
    struct pollfd *polls = server->polls;
    polls[0] = (struct pollfd){ .fd = server->control, .events = POLLIN };
    polls[1] = (struct pollfd){ .fd = listener, .events = POLLIN };
    for (;;) {
        int count = server->count;
        for (int i = 0; i < count; i++)
            polls[2 + i] = (struct pollfd){ .fd = server->connections[i].fd, .events = POLLIN };
        if (poll(polls, (nfds_t)(2 + count), -1) < 0)
            continue;
        for (int i = 0; i < 2 + count; i++)
            if (polls[i].revents != 0)
                ready(server, polls[i].fd);
    }
}

static void wait_by_queue(struct server *server)
{
    for (;;)
        ready(server, platform_wait_one(server->queue));
}

/* One connection after the other.  A worker that waits in accept() does not hear that its parent
 * has ended, so it ends with the question's time. */
static void wait_by_accept(struct server *server)
{
    alarm((unsigned)server->trial->question->alarm);
    struct pollfd polls[2] = { { .fd = server->control, .events = POLLIN } };
    for (;;) {
        take(server);
        while (server->count > 0) {
            polls[1] = (struct pollfd){ .fd = server->connections[0].fd, .events = POLLIN };
            if (poll(polls, 2, -1) < 0)
                continue;
            if (polls[0].revents != 0)
                _exit(0);
            answer(server, polls[1].fd);
        }
    }
}

/* 0, or -1 and errno. */
static int prepare(struct server *server)
{
    int waiting = server->trial->question->waiting;
    if (waiting == BY_ACCEPT)
        return 0;
    if (set_nonblocking(listener) != 0)
        return -1;
    if (waiting == BY_POLL)
        return 0;
    server->queue = platform_wait_open();
    if (server->queue < 0)
        return -1;
    int exclusive = waiting == BY_EPOLL_EXCLUSIVE;
    return platform_wait_add(server->queue, server->control, 0) != 0
        || platform_wait_add(server->queue, listener, exclusive) != 0 ? -1 : 0;
}

/* Each waits for its turn, so that they begin to wait in a known order.  It is scheduled as any
 * server is, or the agent would decide who wins a race. */
static void run(const struct trial *trial, int index, int control)
{
    static struct server server;
    char turn;
    server = (struct server){ .trial = trial, .index = index, .control = control, .queue = -1 };
    platform_take_turns(0);
    if (recv(control, &turn, 1, MSG_WAITALL) != 1)
        _exit(0);
    int error = prepare(&server) == 0 ? 0 : errno;
    if (send(control, &error, sizeof error, 0) != (ssize_t)sizeof error)
        _exit(0);
    if (trial->question->waiting == BY_ACCEPT)
        wait_by_accept(&server);
    else if (trial->question->waiting == BY_POLL)
        wait_by_poll(&server);
    else
        wait_by_queue(&server);
}

static void begin_to_wait(struct trial *trial, int index)
{
    int control = trial->members[index].control, error;
    ssize_t got;
    if (send(control, "", 1, 0) != 1)
        broken("worker %d does not start", index);
    do
        got = recv(control, &error, sizeof error, MSG_WAITALL);
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof error)
        broken("worker %d does not answer", index);
    if (error == EINVAL && trial->question->waiting == BY_EPOLL_EXCLUSIVE)
        unsupported(trial, "no EPOLLEXCLUSIVE in this kernel: %s", errno_name(error));
    if (error != 0)
        broken("worker %d cannot wait: %s", index, errno_name(error));
    pause_ms(SETTLE_MS);
}

static struct outcome stand(struct trial *trial)
{
    struct outcome outcome;
    listener = socket_of_member(trial, trial->family, NONE, &outcome);
    if (listener < 0)
        return outcome;
    struct address place = address_of_member(trial);
    outcome = outcome_of(CALL_BIND, bind(listener, (const struct sockaddr *)&place.storage,
                                         place.size));
    if (outcome.call == NO_CALL)
        outcome = outcome_of(CALL_LISTEN, listen(listener, trial->backlog));
    if (outcome.call != NO_CALL)
        close(listener);
    return outcome;
}

void one_listener(struct trial *trial)
{
    const struct question *question = trial->question;
    const char *missing = platform_wait_missing(question->waiting);
    struct outcome outcome;
    int tries = 0;
    if (missing != NULL)
        unsupported(trial, "%s", missing);
    need_descriptors(trial, question->flows);
    do {
        reserve_port(trial);
        outcome = stand(trial);
    } while (outcome.error == EADDRINUSE && ++tries < TRIES);
    need_family(trial, outcome);
    emit_attempt("listener", outcome);
    if (outcome.call != NO_CALL)
        return;
    trial->indexes = question->listeners;
    members_fork_as(trial, question->listeners, run);
    close(listener); /* the workers' copies are the only ones */
    for (int i = 0; i < question->listeners; i++)
        begin_to_wait(trial, i);
    /* A worker in accept() takes the next connection only once the last has ended.  On a slow guest
     * a flow must keep its place in the window meanwhile, or the queue overflows. */
    struct phase phase = { .name = "all", .flows = flows_new(trial, question->flows),
                           .count = question->flows, .young = question->deadline / 2 };
    phase_run(trial, &phase);
    flows_end(trial, phase.flows, phase.count);
}
