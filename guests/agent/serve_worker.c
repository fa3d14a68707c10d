/* One worker of the server of our own: HTTP/1.1, as far as a client that asks for "/" needs it.
 *
 * It retires as a good server does: it takes no new connections, and ends each old one with its next
 * answer, which says so. */
#include "serve_worker.h"

#include "clock.h"
#include "descriptor.h"
#include "ending.h"
#include "sockets.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONNECTIONS = 400, REQUEST_SIZE = 1024, RETIRING = 5000, SLICE = 200 };

struct connection {
    size_t heard;
    char request[REQUEST_SIZE + 1];
};

/* polls[0] is the listener; connection i is polls[1 + i]. */
struct work {
    struct serve_worker *worker;
    int count;
    struct pollfd polls[1 + CONNECTIONS];
    struct connection connections[CONNECTIONS];
};

static volatile sig_atomic_t told;

static void on_term(int number)
{
    told = number;
}

static void drop(struct work *work, int i)
{
    int last = --work->count;
    close(work->polls[1 + i].fd);
    work->polls[1 + i] = work->polls[1 + last];
    work->connections[i] = work->connections[last];
}

/* 0 if the connection is over. */
static int answer(struct work *work, int i)
{
    struct connection *connection = &work->connections[i];
    int closes = told != 0 || strstr(connection->request, "\r\nConnection: close\r\n") != NULL;
    char body[40], reply[200];
    int size = snprintf(body, sizeof body, "generation %d\n", work->worker->generation);
    size = snprintf(reply, sizeof reply, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s", size,
                    closes ? "Connection: close\r\n" : "", body);
    connection->heard = 0;
    if (work->worker->slow > 0)
        pause_ms(work->worker->slow);
    return send(work->polls[1 + i].fd, reply, (size_t)size, 0) == size && !closes;
}

static int hear(struct work *work, int i)
{
    struct connection *connection = &work->connections[i];
    ssize_t got = recv(work->polls[1 + i].fd, connection->request + connection->heard,
                       REQUEST_SIZE - connection->heard, 0);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return 1;
    if (got <= 0)
        return 0;
    connection->heard += (size_t)got;
    connection->request[connection->heard] = '\0';
    return strstr(connection->request, "\r\n\r\n") == NULL || answer(work, i);
}

static void accept_all(struct work *work)
{
    int fd;
    while (work->count < CONNECTIONS && (fd = accept(work->polls[0].fd, NULL, NULL)) >= 0) {
        set_nonblocking(fd);
        work->polls[1 + work->count] = (struct pollfd){ .fd = fd, .events = POLLIN };
        work->connections[work->count++].heard = 0;
    }
}

/* It keeps a listener that it passes until that has arrived (darwin; Python issue 14669). */
static void retire(struct work *work)
{
    char byte;
    if (work->worker->how == SERVE_PASS
        && descriptor_send(work->worker->heir, work->polls[0].fd).call == NO_CALL)
        while (recv(work->worker->heir, &byte, 1, 0) < 0 && errno == EINTR)
            continue;
    close(work->polls[0].fd);
    work->polls[0].fd = -1;
}

static void turn(struct work *work)
{
    if (poll(work->polls, (nfds_t)(1 + work->count), SLICE) <= 0)
        return;
    for (int i = work->count - 1; i >= 0; i--)
        if (work->polls[1 + i].revents != 0 && !hear(work, i))
            drop(work, i);
    if (work->polls[0].fd >= 0 && work->polls[0].revents != 0)
        accept_all(work);
}

void serve_work(struct serve_worker *worker)
{
    struct work *work = calloc(1, sizeof *work);
    if (work == NULL || set_nonblocking(worker->listener) != 0)
        exit(EXIT_BROKEN);
    signal(SIGTERM, on_term);
    work->worker = worker;
    work->polls[0] = (struct pollfd){ .fd = worker->listener, .events = POLLIN };
    while (told == 0) {
        work->polls[0].events = work->count < CONNECTIONS ? POLLIN : 0;
        turn(work);
    }
    retire(work);
    for (int64_t until = clock_ms() + RETIRING; work->count > 0 && clock_ms() < until;)
        turn(work);
    _exit(0);
}
