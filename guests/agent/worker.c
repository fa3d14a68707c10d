/* A member of the group, inside its own process: one socket, and a channel to its parent.
 *
 * Nothing here says a line: a worker answers on its channel, and ends when the channel closes. */
#include "worker.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { UNPRIVILEGED = 65534, RETRY_MS = 5 };

const char *const call_names[] = {
    NULL, "socket", "setsockopt", "bind", "listen", "close", "shutdown", "setuid", "sendmsg",
    "recvmsg", "socketpair", "fork", "join"
};

struct answer answer(enum call call, int result)
{
    int error = errno;
    return result == 0 ? (struct answer){ NO_CALL, 0, 0 } : (struct answer){ call, error, 0 };
}

static struct answer bind_socket(struct worker *worker, const struct command *command)
{
    struct outcome outcome;
    int fd = socket_of_member(worker->trial, command->family,
                              command->late ? NONE : command->option, &outcome);
    if (fd < 0)
        return (struct answer){ strcmp(outcome.call, "socket") == 0 ? CALL_SOCKET
                                                                      : CALL_SETSOCKOPT,
                                outcome.error, 0 };
    const struct sockaddr *place = (const struct sockaddr *)&command->address.storage;
    struct answer said = answer(CALL_BIND, bind(fd, place, command->address.size));
    if (said.call == NO_CALL && command->late)
        said = answer(CALL_SETSOCKOPT, option_set(fd, command->option));
    if (said.call == NO_CALL && worker->trial->question->delivery == MULTICAST)
        said = answer(CALL_JOIN, join_group(worker->trial, fd));
    if (said.call == NO_CALL)
        said = answer(CALL_SETSOCKOPT, set_nonblocking(fd));
    if (said.call != NO_CALL) {
        close(fd);
        return said;
    }
    worker->listener = fd;
    worker->serving = worker->trial->question->udp;
    return said;
}

struct answer close_listener(struct worker *worker)
{
    int fd = worker->listener;
    worker->listener = -1;
    worker->serving = 0;
    return fd < 0 ? answer(CALL_CLOSE, 0) : answer(CALL_CLOSE, close(fd));
}

static struct answer listen_with(struct worker *worker, int backlog)
{
    struct answer said = answer(CALL_LISTEN, listen(worker->listener, backlog));
    worker->serving = said.call == NO_CALL || worker->serving;
    return said;
}

static struct answer obey(struct worker *worker, const struct command *command)
{
    switch (command->operation) {
    case BIND:
        return bind_socket(worker, command);
    case LISTEN:
        return listen_with(worker, worker->trial->backlog);
    case LISTEN_ZERO:
        return answer(CALL_LISTEN, listen(worker->listener, 0));
    case SHUT_DOWN:
        return answer(CALL_SHUTDOWN, shutdown(worker->listener, SHUT_RDWR));
    case CLOSE_LISTENER:
        return close_listener(worker);
    case CHANGE_UID:
        return answer(CALL_SETUID, setuid(UNPRIVILEGED));
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
    case SERVE:
    case PAUSE:
        worker->serving = command->operation == SERVE;
        break;
    }
    return answer(NO_CALL, 0);
}

/* The parent's end has closed, whatever became of the parent: nobody is left to serve. */
static void hear(struct worker *worker)
{
    struct command command;
    ssize_t got = recv(worker->control, &command, sizeof command, MSG_WAITALL);
    if (got < 0 && errno == EINTR)
        return;
    if (got != (ssize_t)sizeof command)
        _exit(0);
    struct answer said = obey(worker, &command);
    if (send(worker->control, &said, sizeof said, 0) != (ssize_t)sizeof said)
        _exit(0);
}

int reply_to(const struct trial *trial, int index, const unsigned char *request,
             unsigned char *reply)
{
    if (memcmp(request, trial->token, TOKEN) != 0)
        return -1;
    memcpy(reply, request, REQUEST);
    reply[REQUEST] = (unsigned char)(index >> 8);
    reply[REQUEST + 1] = (unsigned char)index;
    if (trial->service > 0)
        pause_ms(trial->service);
    return 0;
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
    if (worker->connections == NULL || worker->polls == NULL || set_nonblocking(fd) != 0)
        _exit(EXIT_BROKEN);
    worker->connections[worker->count++] = (struct connection){ .fd = fd };
}

/* 1, or 0 and errno if there is none.  Out of descriptors is a failure of ours, which the parent
 * finds by the exit status. */
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

/* A socket that has nobody although poll() says so is asked again, in case it does.  After
 * shutdown() some kernels call it readable for ever (netbsd: soreadable()), and a worker that
 * spins starves a guest of one slow CPU. */
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

static void receive_some(struct worker *worker)
{
    unsigned char bytes[REPLY + 1];
    struct address from;
    int taken = 0;
    for (int more = 1; more; more = worker->trial->service == 0) {
        from.size = sizeof from.storage;
        ssize_t got = recvfrom(worker->listener, bytes, sizeof bytes, 0,
                               (struct sockaddr *)&from.storage, &from.size);
        if (got <= 0) /* 0: shut down on the BSDs, and 0 again for ever */
            break;
        taken++;
        unsigned char reply[REPLY];
        int retries = 0;
        if (got == REQUEST && reply_to(worker->trial, worker->index, bytes, reply) == 0
            && send_patiently(worker->listener, reply, sizeof reply, &from, &retries) < 0
            && (errno == ENOBUFS || errno == EAGAIN))
            _exit(EXIT_BROKEN);
    }
    worker->silent = taken == 0;
}

/* 0, or -1 when the connection has ended or is not of this run. */
static int answer_connection(struct worker *worker, struct connection *connection)
{
    unsigned char reply[REPLY];
    ssize_t got = recv(connection->fd, connection->request + connection->received,
                       (size_t)(REQUEST - connection->received), 0);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return 0;
    if (got <= 0)
        return -1;
    connection->received += (int)got;
    if (connection->received < REQUEST)
        return 0;
    connection->received = 0;
    if (reply_to(worker->trial, worker->index, connection->request, reply) != 0)
        return -1;
    return send(connection->fd, reply, sizeof reply, 0) == (ssize_t)sizeof reply ? 0 : -1;
}

static void serve_connections(struct worker *worker, const struct pollfd *polls)
{
    for (int i = worker->count - 1; i >= 0; i--) {
        if (polls[i].revents == 0)
            continue;
        if (answer_connection(worker, &worker->connections[i]) != 0) {
            close(worker->connections[i].fd);
            worker->connections[i] = worker->connections[--worker->count];
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
        receive_some(worker);
    else
        accept_some(worker);
}

/* One turn: whoever has something to say is heard. */
static void turn(struct worker *worker)
{
    int busy = worker->trial->service > 0 && worker->count > 0; /* a slow member: one by one */
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
