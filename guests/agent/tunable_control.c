/* Whether a tunable's value means anything to this kernel, and not only reads back.
 *
 * An old kernel takes any number.  `net.ipv4.tcp_syncookies=2`, a cookie for every SYN, exists since
 * Linux 3.12 (tcp(7)); before, 2 is the same as 1.  So one connection is made, and the kernel's own
 * counter has to say that it got a cookie.  The other values that we set switch something on or
 * off, which each kernel knows that has the tunable. */
#include "tunable_control.h"

#include "sockets.h"
#include "trial.h"
#include "unsupported.h"

#include <netinet/in.h>

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COOKIES "net.ipv4.tcp_syncookies=2"

enum { LINE = 16384, PATIENCE = 2000 };

/* The place of a word in a line, from 0; -1 if it is not there. */
static int place_of(char *line, const char *wanted)
{
    int place = 0;
    for (char *word = strtok(line, " \n"); word != NULL; word = strtok(NULL, " \n"), place++)
        if (strcmp(word, wanted) == 0)
            return place;
    return -1;
}

static long number_at(char *line, int place)
{
    for (char *word = strtok(line, " \n"); word != NULL; word = strtok(NULL, " \n"))
        if (place-- == 0)
            return strtol(word, NULL, 10);
    return -1;
}

/* The SYN cookies that were sent in this network namespace; -1 if that is not said.  The file has
 * pairs of lines with the same first word: names, and their values (linux: net/ipv4/proc.c). */
static long cookies_sent(void)
{
    FILE *file = fopen("/proc/net/netstat", "r");
    char *names = malloc(LINE), *values = malloc(LINE);
    long sent = -1;
    while (file != NULL && names != NULL && values != NULL && sent < 0
           && fgets(names, LINE, file) != NULL && fgets(values, LINE, file) != NULL) {
        int place = place_of(names, "SyncookiesSent");
        sent = place > 0 ? number_at(values, place) : -1;
    }
    free(names);
    free(values);
    if (file != NULL)
        fclose(file);
    return sent;
}

static int established(int fd, const struct sockaddr *at, socklen_t size)
{
    struct pollfd end = { .fd = fd, .events = POLLOUT };
    int error = 0;
    socklen_t length = sizeof error;
    if (set_nonblocking(fd) != 0 || (connect(fd, at, size) != 0 && errno != EINPROGRESS))
        return 0;
    return poll(&end, 1, PATIENCE) == 1
        && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0;
}

/* Whether a connection over the loopback interface could be made. */
static int connected(void)
{
    struct sockaddr_in place = { .sin_family = AF_INET };
    socklen_t size = sizeof place;
    struct sockaddr *at = (struct sockaddr *)&place;
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int made = listener >= 0 && client >= 0 && bind(listener, at, size) == 0
        && listen(listener, 1) == 0 && getsockname(listener, at, &size) == 0
        && established(client, at, size);
    if (client >= 0)
        close(client);
    if (listener >= 0)
        close(listener);
    return made;
}

void need_meaning(struct trial *trial)
{
    if (strcmp(trial->question->tunables, COOKIES) != 0)
        return;
    long before = cookies_sent();
    if (before < 0 || !connected())
        unsupported(trial, "%s: no connection shows whether it does anything here", COOKIES);
    if (cookies_sent() == before)
        unsupported(trial, "%s does nothing here: a connection got no SYN cookie", COOKIES);
}
