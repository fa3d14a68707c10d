/* One process that holds hundreds of sockets of one group, and polls them all.
 *
 * A process for each would be more than a small guest has, and would tell no more: that a member
 * holds a sibling's descriptor matters only when the sibling leaves (docs/traps.md, trap 6), and
 * here none does.  Kernels limit the sockets of a group, not their owners. */
#include "group_process.h"

#include "addresses.h"
#include "command.h"
#include "ending.h"
#include "members.h"
#include "request.h"
#include "sockets.h"
#include "trial.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

enum { CONNECTIONS = 600 }; /* at once: more than group_limit() has in flight */

struct connection {
    int index; /* of the socket that accepted it */
    struct incoming request;
};

/* polls[0] is the channel, then come `stood` sockets of the group, then `open` connections. */
struct process {
    const struct trial *trial;
    int stood, open;
    struct pollfd polls[1 + MAX_SOCKETS + CONNECTIONS];
    struct connection connections[CONNECTIONS];
};

/* As a member does: bound, and listening at once. */
static int stand(struct process *process, const struct address *place, struct outcome *outcome)
{
    const struct trial *trial = process->trial;
    int fd = socket_of_member(trial, trial->family, trial->option, outcome);
    if (fd < 0)
        return -1;
    *outcome = outcome_of(CALL_BIND, bind(fd, (const struct sockaddr *)&place->storage,
                                          place->size));
    if (outcome->call == NO_CALL && !trial->question->udp)
        *outcome = outcome_of(CALL_LISTEN, listen(fd, trial->backlog));
    if (outcome->call != NO_CALL) {
        close(fd);
        return -1;
    }
    if (set_nonblocking(fd) != 0)
        _exit(EXIT_BROKEN);
    process->polls[1 + process->stood++] = (struct pollfd){ .fd = fd, .events = POLLIN };
    return 0;
}

/* All stand before the first flow comes; the first that is refused is the last that is tried. */
static void stand_all(struct process *process, int control)
{
    struct address place = address_of_member(process->trial);
    struct answer answer = { .outcome = { NO_CALL, 0 } };
    int sockets = process->trial->question->sockets;
    while (process->stood < sockets && stand(process, &place, &answer.outcome) == 0)
        continue;
    if (send(control, &answer, sizeof answer, 0) != (ssize_t)sizeof answer
        || send(control, &process->stood, sizeof process->stood, 0)
            != (ssize_t)sizeof process->stood)
        _exit(0);
}

static void receive(struct process *process, int index)
{
    unsigned char bytes[REPLY + 1], reply[REPLY];
    struct address from;
    int fd = process->polls[1 + index].fd, retries = 0;
    ssize_t got;
    do {
        from.size = sizeof from.storage;
        got = recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from.storage, &from.size);
        if (got == REQUEST && reply_to(process->trial, index, bytes, reply) == 0
            && send_patiently(fd, reply, sizeof reply, &from, &retries) < 0
            && (errno == ENOBUFS || errno == EAGAIN))
            _exit(EXIT_BROKEN);
    } while (got > 0);
}

static void accept_some(struct process *process, int index)
{
    while (process->open < CONNECTIONS) {
        int fd = accept(process->polls[1 + index].fd, NULL, NULL);
        int error = errno;
        if (fd < 0 && (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM))
            _exit(EXIT_BROKEN);
        if (fd < 0)
            return;
        struct pollfd *polls = process->polls + 1 + process->stood;
        polls[process->open] = (struct pollfd){ .fd = fd, .events = POLLIN };
        process->connections[process->open++] = (struct connection){ .index = index };
    }
}

static void turn(struct process *process)
{
    struct pollfd *polls = process->polls + 1 + process->stood;
    for (int i = process->open - 1; i >= 0; i--) {
        struct connection *connection = &process->connections[i];
        if (polls[i].revents == 0
            || answer_connection(process->trial, connection->index, polls[i].fd,
                                 &connection->request) == 0)
            continue;
        close(polls[i].fd);
        polls[i] = polls[--process->open];
        *connection = process->connections[process->open];
    }
    for (int i = 0; i < process->stood; i++) {
        if (process->polls[1 + i].revents == 0)
            continue;
        if (process->trial->question->udp)
            receive(process, i);
        else
            accept_some(process, i);
    }
}

/* Serves until the parent's end of the channel closes; the parent tells it nothing meanwhile. */
static void run(const struct trial *trial, int index, int control)
{
    struct process *process = calloc(1, sizeof *process);
    if (process == NULL || index != 0)
        _exit(EXIT_BROKEN);
    process->trial = trial;
    process->polls[0] = (struct pollfd){ .fd = control, .events = POLLIN };
    stand_all(process, control);
    for (;;) {
        if (poll(process->polls, (nfds_t)(1 + process->stood + process->open), -1) < 0)
            continue;
        if (process->polls[0].revents != 0)
            _exit(0);
        turn(process);
    }
}

void group_process_fork(struct trial *trial)
{
    trial->indexes = trial->question->sockets;
    members_fork_as(trial, 1, run);
}

int group_process_hear(struct trial *trial, struct outcome *last)
{
    int stood;
    ssize_t got;
    *last = member_hear(trial, 0);
    do
        got = recv(trial->members[0].control, &stood, sizeof stood, MSG_WAITALL);
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof stood)
        broken("the crowd does not say how many they are");
    return stood;
}
