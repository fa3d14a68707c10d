/* What keeps a member's listener open when the member itself does not.
 *
 * A child that inherited the descriptor by fork() is the usual case: a program that a worker
 * started without close-on-exec.  The other is io_uring, where an accept() that is still armed
 * holds the socket after close(). */
#include "holder.h"

#include "platform_ring.h"
#include "trial.h"
#include "worker.h"

#include <errno.h>
#include <unistd.h>

/* In the child: it has the listener, and does nothing with it. */
static void hold(struct worker *worker)
{
    int leash = worker->trial->leash[1];
    char byte = 0;
    ssize_t got;
    close(worker->control);
    while (worker->count > 0)
        close(worker->connections[--worker->count].fd);
    do
        got = recv(leash, &byte, 1, 0);
    while (got < 0 && errno == EINTR);
    close(worker->listener);
    _exit(send(leash, &byte, 1, 0) != 1);
}

struct outcome holder_begin(struct worker *worker)
{
    if (worker->trial->question->holder == RING) {
        worker->serving = 0; /* or it would wait in accept() for what the kernel takes */
        errno = platform_ring_accept(worker->listener);
        return outcome_of(CALL_RING, errno);
    }
    pid_t pid = fork();
    if (pid == 0)
        hold(worker);
    return outcome_of(CALL_FORK, pid < 0);
}
