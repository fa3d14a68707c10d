/* A member of the group, inside its own process: one socket, and a channel to its parent.
 *
 * It says no lines: it answers on its channel, and ends when the channel closes. */
#include "worker.h"

#include "addresses.h"
#include "command.h"
#include "ending.h"
#include "holder.h"
#include "retire.h"
#include "session_socket.h"
#include "sockets.h"
#include "steered.h"
#include "trial.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

enum { UNPRIVILEGED = 65534, RETRY_MS = 5 };

static struct outcome bind_socket(struct worker *worker, const struct command *command)
{
    struct outcome outcome;
    int fd = socket_of_member(worker->trial, command->family,
                              command->late ? NONE : command->option, &outcome);
    if (fd < 0)
        return outcome;
    if (command->device && platform_bind_to_loopback(fd, command->family != IPV4) != 0) {
        outcome = outcome_of(CALL_SETSOCKOPT, -1);
        close(fd);
        return outcome;
    }
    const struct sockaddr *place = (const struct sockaddr *)&command->address.storage;
    outcome = outcome_of(CALL_BIND, bind(fd, place, command->address.size));
    if (outcome.call == NO_CALL && command->late)
        outcome = outcome_of(CALL_SETSOCKOPT, option_set(fd, command->option));
    if (outcome.call == NO_CALL && worker->trial->question->delivery == MULTICAST)
        outcome = outcome_of(CALL_JOIN, join_group(worker->trial, fd));
    if (outcome.call == NO_CALL)
        outcome = outcome_of(CALL_SETSOCKOPT, set_nonblocking(fd));
    if (outcome.call != NO_CALL) {
        close(fd);
        return outcome;
    }
    worker->listener = fd;
    worker->serving = worker->trial->question->udp;
    return outcome;
}

struct outcome close_listener(struct worker *worker)
{
    int fd = worker->listener;
    worker->listener = -1;
    worker->serving = 0;
    return fd < 0 ? outcome_of(CALL_CLOSE, 0) : outcome_of(CALL_CLOSE, close(fd));
}

static struct outcome listen_with(struct worker *worker, int backlog)
{
    struct outcome outcome = outcome_of(CALL_LISTEN, listen(worker->listener, backlog));
    if (outcome.call == NO_CALL)
        outcome = outcome_of(CALL_SETSOCKOPT, accept_as_asked(worker->trial, worker->listener));
    worker->serving = outcome.call == NO_CALL || worker->serving;
    return outcome;
}

/* A datagram that answers nobody. */
static struct outcome speak(struct worker *worker, const struct address *to)
{
    int retries = 0;
    return outcome_of(CALL_SENDTO, send_patiently(worker->listener, "?", 1, to, &retries) != 1);
}

static void keep(struct worker *worker, int fd)
{
    if (worker->count == worker->room) {
        worker->room = worker->room * 2 + 64;
        worker->connections = realloc(worker->connections,
                                      (size_t)worker->room * sizeof *worker->connections);
        worker->polls = realloc(worker->polls,
                                (size_t)(worker->room + OWN) * sizeof *worker->polls);
    }
    if (worker->connections == NULL || worker->polls == NULL)
        _exit(EXIT_BROKEN);
    worker->connections[worker->count++] = (struct connection){ .fd = fd, .index = worker->index };
}

static struct outcome connect_client(struct worker *worker, const struct command *command)
{
    struct outcome outcome;
    int fd = session_socket(worker->trial, command, &outcome);
    if (fd >= 0) {
        keep(worker, fd);
        worker->connections[worker->count - 1].index = command->index;
        worker->connections[worker->count - 1].client = port_of(&command->client);
    }
    return outcome;
}

static struct outcome obey(struct worker *worker, const struct command *command)
{
    switch (command->operation) {
    case BIND:
        return bind_socket(worker, command);
    case LISTEN:
        return listen_with(worker, worker->trial->backlog);
    case LISTEN_ONLY:
        return outcome_of(CALL_LISTEN, listen(worker->listener, worker->trial->backlog));
    case LISTEN_AGAIN:
        return outcome_of(CALL_LISTEN, listen(worker->listener, worker->trial->question->again));
    case LISTEN_ZERO:
        return outcome_of(CALL_LISTEN, listen(worker->listener, 0));
    case SHUT_DOWN:
        return outcome_of(CALL_SHUTDOWN, shutdown(worker->listener, SHUT_RDWR));
    case CLOSE_LISTENER:
        return close_listener(worker);
    case CHANGE_UID:
        return outcome_of(CALL_SETUID, setuid(UNPRIVILEGED));
    case CONNECT:
        return connect_client(worker, command);
    case END_CONNECTIONS:
        while (worker->count > 0)
            close(worker->connections[--worker->count].fd);
        break;
    case LEAVE_PROCESS:
        _exit(0);
    case RETIRE:
    case HAND_OVER:
    case RECEIVE:
    case DROP:
    case BEQUEATH:
    case RECLAIM:
        return retire(worker, command->operation);
    case FINISH:
        worker->finishing = 1;
        break;
    case HOLD:
        return holder_begin(worker);
    case STEER:
    case STEER_WIDER:
    case UNSTEER:
        return steered(worker, command->operation);
    case SPEAK:
        return speak(worker, &command->address);
    case SERVE:
    case PAUSE:
        worker->serving = command->operation == SERVE;
        break;
    }
    return outcome_of(NO_CALL, 0);
}

/* When the parent's end of the channel has closed, whatever became of the parent, it ends. */
static void hear(struct worker *worker)
{
    struct command command;
    struct answer answer;
    ssize_t got = recv(worker->control, &command, sizeof command, MSG_WAITALL);
    if (got < 0 && errno == EINTR)
        return;
    if (got != (ssize_t)sizeof command)
        _exit(0);
    worker->taken = worker->endless = 0;
    answer.outcome = obey(worker, &command);
    answer.taken = worker->taken;
    answer.endless = worker->endless;
    if (send(worker->control, &answer, sizeof answer, 0) != (ssize_t)sizeof answer)
        _exit(0);
}

/* Out of descriptors is the agent's own failure, which the parent finds by the exit status. */
int accept_one(struct worker *worker, int listener)
{
    int fd = accept(listener, NULL, NULL);
    int error = errno;
    if (fd < 0 && (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM))
        _exit(EXIT_BROKEN);
    if (fd >= 0)
        keep(worker, fd);
    errno = error;
    return fd >= 0;
}

/* After shutdown() some kernels call the listener readable for ever (netbsd: soreadable()).  A
 * worker that believed them would spin, and starve a guest of one slow CPU.  If poll() says that
 * the listener is readable but accept() finds no connection, the listener is `silent`: the worker
 * tries it every RETRY_MS instead. */
static void accept_some(struct worker *worker)
{
    int more = 1, taken = 0;
    while (more) {
        int one = accept_one(worker, worker->listener);
        taken += one;
        more = one && worker->trial->service == 0;
    }
    worker->silent = taken == 0;
}

/* Answers what has come to the listener or to a connected socket; returns how much that was.  A
 * connected socket can send to its client only (EISCONN, on the BSDs), so the listener answers
 * whatever else came there. */
static int receive_some(struct worker *worker, int fd, int index, int client)
{
    unsigned char bytes[REPLY + 1];
    struct address from;
    int taken = 0;
    for (int more = 1; more; more = worker->trial->service == 0) {
        from.size = sizeof from.storage;
        ssize_t got = recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from.storage,
                               &from.size);
        if (got <= 0) /* 0: the socket was shut down, on the BSDs; they say 0 for ever */
            break;
        taken++;
        unsigned char reply[REPLY];
        int retries = 0, own = client != 0 && port_of(&from) == client;
        if (got == REQUEST && reply_to(worker->trial, index, bytes, reply) == 0
            && send_patiently(own ? fd : worker->listener, reply, sizeof reply,
                              own ? NULL : &from, &retries) < 0
            && (errno == ENOBUFS || errno == EAGAIN))
            _exit(EXIT_BROKEN);
    }
    return taken;
}

static void serve_connections(struct worker *worker, const struct pollfd *polls)
{
    for (int i = worker->count - 1; i >= 0; i--) {
        if (polls[i].revents == 0)
            continue;
        struct connection *connection = &worker->connections[i];
        if (worker->trial->question->udp) {
            receive_some(worker, connection->fd, connection->index, connection->client);
        } else if (answer_connection(worker->trial, connection->index, connection->fd,
                                     &connection->request)
                   != 0) {
            close(connection->fd);
            *connection = worker->connections[--worker->count];
        }
    }
}

static void serve_listener(struct worker *worker, int events)
{
    if ((events & (POLLHUP | POLLERR | POLLNVAL)) != 0)
        worker->silent = 1;
    if (events == 0 && !worker->silent)
        return;
    if (worker->trial->question->udp)
        worker->silent = receive_some(worker, worker->listener, worker->index, 0) == 0;
    else
        accept_some(worker);
}

static void turn(struct worker *worker)
{
    int busy = worker->trial->service > 0 && worker->count > 0; /* slow: one at a time */
    int accepts = worker->serving && !busy, turns = worker->silent && accepts;
    int served = worker->count;
    struct pollfd *polls = worker->polls;
    polls[0] = (struct pollfd){ .fd = worker->control, .events = POLLIN };
    polls[1] = (struct pollfd){ .fd = accepts && !turns ? worker->listener : -1,
                                .events = POLLIN };
    polls[2] = (struct pollfd){ .fd = worker->handing ? -1 : worker->adopted, .events = POLLIN };
    for (int i = 0; i < served; i++)
        polls[i + OWN] = (struct pollfd){ .fd = worker->connections[i].fd, .events = POLLIN };
    if (poll(polls, (nfds_t)(served + OWN), turns ? RETRY_MS : -1) < 0)
        return;
    int control_events = polls[0].revents, listener_events = polls[1].revents;
    int adopted_events = polls[2].revents;
    serve_connections(worker, polls + OWN);
    if (control_events != 0)
        hear(worker);
    if (accepts && worker->serving && worker->listener >= 0)
        serve_listener(worker, listener_events);
    if (adopted_events != 0 && worker->adopted >= 0 && !worker->handing)
        while (accept_one(worker, worker->adopted))
            continue;
}

void worker_go_on(struct worker *worker)
{
    while (worker->connections != NULL && worker->polls != NULL) {
        if (worker->finishing && worker->count == 0)
            _exit(0);
        turn(worker);
    }
    _exit(EXIT_BROKEN);
}

void worker_run(const struct trial *trial, int index, int control)
{
    struct worker worker = { .trial = trial, .index = index, .control = control, .listener = -1,
                             .adopted = -1, .room = 64 };
    worker.connections = malloc((size_t)worker.room * sizeof *worker.connections);
    worker.polls = malloc((size_t)(worker.room + OWN) * sizeof *worker.polls);
    worker_go_on(&worker);
}
