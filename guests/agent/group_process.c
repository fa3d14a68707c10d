/* Hundreds of members in one process: a socket each, one poll() for all.
 *
 * A process each would ask for more of them than a small guest has, and tell no more: that a
 * worker holds a sibling's descriptor matters when the sibling leaves (BEHAVIOURS.md, trap 6),
 * and here nobody does.  What a kernel limits is sockets in a group; it does not count owners. */
#include "agent.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { GUESTS = 600 }; /* connections at once: more than group_limit() has in flight */

struct seat {
    int index, received;
    unsigned char request[REQUEST];
};

/* polls[0] is the channel, then come `stood` members, then `seated` connections. */
struct crowd {
    const struct trial *trial;
    int stood, seated;
    struct pollfd polls[1 + MAX_SOCKETS + GUESTS];
    struct seat seats[GUESTS];
};

/* As a member does: bound, and listening at once. */
static int stand(struct crowd *crowd, const struct address *place, struct outcome *outcome)
{
    const struct trial *trial = crowd->trial;
    int fd = socket_of_member(trial, trial->family, trial->option, outcome);
    if (fd < 0)
        return -1;
    const char *call = "bind";
    int failed = bind(fd, (const struct sockaddr *)&place->storage, place->size);
    if (failed == 0 && !trial->question->udp) {
        call = "listen";
        failed = listen(fd, trial->backlog);
    }
    *outcome = (struct outcome){ failed ? call : NULL, failed ? errno : 0 };
    if (failed) {
        close(fd);
        return -1;
    }
    if (set_nonblocking(fd) != 0)
        _exit(EXIT_BROKEN);
    crowd->polls[1 + crowd->stood++] = (struct pollfd){ .fd = fd, .events = POLLIN };
    return 0;
}

/* All stand before the first flow comes; the first that is refused is the last that is tried. */
static void stand_all(struct crowd *crowd, int control)
{
    struct address place = address_of_member(crowd->trial);
    struct outcome outcome = { NULL, 0 };
    struct answer said = { 0, 0, 0 };
    int sockets = crowd->trial->question->sockets;
    while (crowd->stood < sockets && stand(crowd, &place, &outcome) == 0)
        continue;
    if (outcome.call != NULL) {
        said.error = outcome.error;
        do
            said.call++;
        while (strcmp(call_names[said.call], outcome.call) != 0);
    }
    if (send(control, &said, sizeof said, 0) != (ssize_t)sizeof said
        || send(control, &crowd->stood, sizeof crowd->stood, 0) != (ssize_t)sizeof crowd->stood)
        _exit(0);
}

static void receive(struct crowd *crowd, int index)
{
    unsigned char bytes[REPLY + 1], reply[REPLY];
    struct address from;
    int fd = crowd->polls[1 + index].fd, retries = 0;
    ssize_t got;
    do {
        from.size = sizeof from.storage;
        got = recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from.storage, &from.size);
        if (got == REQUEST && reply_to(crowd->trial, index, bytes, reply) == 0
            && send_patiently(fd, reply, sizeof reply, &from, &retries) < 0
            && (errno == ENOBUFS || errno == EAGAIN))
            _exit(EXIT_BROKEN);
    } while (got > 0);
}

static void take_in(struct crowd *crowd, int index)
{
    while (crowd->seated < GUESTS) {
        int fd = accept(crowd->polls[1 + index].fd, NULL, NULL);
        int error = errno;
        if (fd < 0 && (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM))
            _exit(EXIT_BROKEN);
        if (fd < 0)
            return;
        if (set_nonblocking(fd) != 0)
            _exit(EXIT_BROKEN);
        crowd->polls[1 + crowd->stood + crowd->seated] = (struct pollfd){ .fd = fd,
                                                                          .events = POLLIN };
        crowd->seats[crowd->seated++] = (struct seat){ .index = index };
    }
}

/* 0, or -1 when the connection has ended or is not of this run. */
static int attend(const struct crowd *crowd, int fd, struct seat *seat)
{
    unsigned char reply[REPLY];
    ssize_t got = recv(fd, seat->request + seat->received, (size_t)(REQUEST - seat->received), 0);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return 0;
    if (got <= 0)
        return -1;
    seat->received += (int)got;
    if (seat->received < REQUEST)
        return 0;
    seat->received = 0;
    if (reply_to(crowd->trial, seat->index, seat->request, reply) != 0)
        return -1;
    return send(fd, reply, sizeof reply, 0) == (ssize_t)sizeof reply ? 0 : -1;
}

static void turn(struct crowd *crowd)
{
    struct pollfd *guests = crowd->polls + 1 + crowd->stood;
    for (int i = crowd->seated - 1; i >= 0; i--) {
        if (guests[i].revents == 0 || attend(crowd, guests[i].fd, &crowd->seats[i]) == 0)
            continue;
        close(guests[i].fd);
        guests[i] = guests[--crowd->seated];
        crowd->seats[i] = crowd->seats[crowd->seated];
    }
    for (int i = 0; i < crowd->stood; i++) {
        if (crowd->polls[1 + i].revents == 0)
            continue;
        if (crowd->trial->question->udp)
            receive(crowd, i);
        else
            take_in(crowd, i);
    }
}

/* Serves until the parent's end of the channel closes; nothing is asked of it meanwhile. */
void crowd_run(const struct trial *trial, int index, int control)
{
    struct crowd *crowd = calloc(1, sizeof *crowd);
    if (crowd == NULL || index != 0)
        _exit(EXIT_BROKEN);
    crowd->trial = trial;
    crowd->polls[0] = (struct pollfd){ .fd = control, .events = POLLIN };
    stand_all(crowd, control);
    for (;;) {
        if (poll(crowd->polls, (nfds_t)(1 + crowd->stood + crowd->seated), -1) < 0)
            continue;
        if (crowd->polls[0].revents != 0)
            _exit(0);
        turn(crowd);
    }
}

/* How many stand, and what became of the last one that was tried. */
int crowd_hear(struct trial *trial, struct outcome *last)
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
