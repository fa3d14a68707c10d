/* How a member retires and comes back: what it does with its listener, inside its own process. */
#include "retire.h"

#include "clock.h"
#include "descriptor.h"
#include "ending.h"
#include "outcome.h"
#include "trial.h"
#include "worker.h"

#include <sys/wait.h>

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

/* ROUNDING: kernels queue a few connections more than the backlog, or half of it more. */
enum { ABORTING = 1000, ROUNDING = 16 };

/* ECONNABORTED is one connection whose client has gone (accept(2)); others may wait.  But after
 * shutdown() some kernels answer it for ever (dragonfly: soaccept_predicate()), so more
 * of them than the queue has places, or ABORTING ms of them, are no connections. */
static void accept_until_empty(struct worker *worker)
{
    int one, error, aborted = 0, most = 2 * worker->trial->backlog + ROUNDING;
    int64_t until = clock_ms() + ABORTING;
    do {
        one = accept_one(worker, worker->listener);
        error = errno;
        worker->taken += one;
        aborted += !one && error == ECONNABORTED;
        worker->endless = aborted > most || (aborted > 0 && clock_ms() > until);
    } while (one || error == EINTR || (error == ECONNABORTED && !worker->endless));
}

/* Accepts what waits, and then no more, but keeps the listener open until DROP: the scenario asks
 * what becomes of connections that the kernel queues in between.  A step that the kernel refuses
 * leaves the member as it is. */
static struct outcome withdraw(struct worker *worker, int way)
{
    struct outcome outcome = { NO_CALL, 0 };
    if (way == BY_SHUTDOWN)
        outcome = outcome_of(CALL_SHUTDOWN, shutdown(worker->listener, SHUT_RD));
    else if (way == BY_LISTEN_ZERO)
        outcome = outcome_of(CALL_LISTEN, listen(worker->listener, 0));
    worker->serving = outcome.call != NO_CALL;
    if (!worker->serving)
        accept_until_empty(worker);
    return outcome;
}

/* A member with two listeners hands the sibling's one back.  The sender keeps it open, unused,
 * until it has arrived: some kernels lose a descriptor whose last owner is the message (darwin;
 * Python issue 14669). */
static struct outcome hand_over(struct worker *worker)
{
    int sibling = worker->adopted >= 0;
    struct outcome outcome = descriptor_send(worker->trial->handover[0],
                                         sibling ? worker->adopted : worker->listener);
    if (outcome.call == NO_CALL && sibling)
        worker->handing = 1;
    else if (outcome.call == NO_CALL)
        worker->serving = 0;
    return outcome;
}

static struct outcome receive(struct worker *worker)
{
    int fd = -1;
    struct outcome outcome = descriptor_receive(worker->trial->handover[1], &fd);
    if (outcome.call != NO_CALL)
        return outcome;
    if (worker->listener >= 0) {
        worker->adopted = fd;
    } else {
        worker->listener = fd;
        worker->serving = 1;
        worker->silent = 0;
    }
    return outcome;
}

static struct outcome drop(struct worker *worker)
{
    int fd = worker->adopted;
    if (fd < 0)
        return close_listener(worker);
    worker->adopted = -1;
    worker->handing = 0;
    return outcome_of(CALL_CLOSE, close(fd));
}

/* The heir of the last round ends with its last connection; it was told to. */
static void reap_heir(struct worker *worker)
{
    int status;
    pid_t seen;
    if (worker->heir == 0)
        return;
    do
        seen = waitpid(worker->heir, &status, 0);
    while (seen < 0 && errno == EINTR);
    if (seen != worker->heir || status != 0)
        _exit(EXIT_BROKEN);
    close(worker->heir_control);
    worker->heir = 0;
}

/* In the heir: it keeps nothing but the listener, and replies with an index of its own. */
static void inherit(struct worker *worker, int control)
{
    close(worker->control);
    while (worker->count > 0)
        close(worker->connections[--worker->count].fd);
    worker->control = control;
    worker->index = worker->trial->question->listeners;
    worker->heir = 0;
    worker_go_on(worker);
}

static struct outcome bequeath(struct worker *worker)
{
    int ends[2];
    reap_heir(worker);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        return outcome_of(CALL_SOCKETPAIR, -1);
    pid_t pid = fork();
    if (pid < 0) {
        struct outcome outcome = outcome_of(CALL_FORK, -1);
        close(ends[0]);
        close(ends[1]);
        return outcome;
    }
    if (pid == 0) {
        close(ends[0]);
        inherit(worker, ends[1]);
    }
    close(ends[1]);
    worker->heir = pid;
    worker->heir_control = ends[0];
    worker->serving = 0;
    return outcome_of(NO_CALL, 0);
}

/* An heir that does not answer has lost flows that no kernel lost. */
static void tell_heir(struct worker *worker, enum operation operation)
{
    struct command command;
    struct answer answer = { .outcome = { NO_CALL, 0 } };
    ssize_t got;
    memset(&command, 0, sizeof command);
    command.operation = operation;
    if (send(worker->heir_control, &command, sizeof command, 0) != (ssize_t)sizeof command)
        _exit(EXIT_BROKEN);
    do
        got = recv(worker->heir_control, &answer, sizeof answer, MSG_WAITALL);
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof answer || answer.outcome.call != NO_CALL)
        _exit(EXIT_BROKEN);
}

/* A descriptor that a child inherited by fork() can come back only in a message. */
static struct outcome reclaim(struct worker *worker)
{
    tell_heir(worker, HAND_OVER);
    struct outcome outcome = receive(worker);
    tell_heir(worker, DROP);
    tell_heir(worker, FINISH);
    return outcome;
}

struct outcome retire(struct worker *worker, enum operation operation)
{
    if (operation == HAND_OVER)
        return hand_over(worker);
    if (operation == RECEIVE)
        return receive(worker);
    if (operation == DROP)
        return drop(worker);
    if (operation == BEQUEATH)
        return bequeath(worker);
    if (operation == RECLAIM)
        return reclaim(worker);
    return withdraw(worker, worker->trial->question->way);
}
