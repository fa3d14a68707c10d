/* Sockets and their options. */
#include "sockets.h"

#include "addresses.h"
#include "clock.h"
#include "platform_accept.h"
#include "trial.h"

#include <netinet/in.h>

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <unistd.h>

enum { SEND_TRIES = 200 };

static int has_plain(int option)
{
    return option == REUSEPORT || option == REUSEPORT_AND_LB || option == REUSEADDR_AND_PORT;
}

static int has_balancing(int option)
{
    return option == REUSEPORT_LB || option == REUSEPORT_AND_LB;
}

const char *option_missing(int option)
{
    if (OPTION_REUSEPORT < 0 && has_plain(option))
        return "no SO_REUSEPORT in this system's headers";
    if (OPTION_REUSEPORT_LB < 0 && has_balancing(option))
        return "no SO_REUSEPORT_LB in this system's headers";
    return NULL;
}

const char *option_label(int option)
{
    return has_balancing(option) ? "SO_REUSEPORT_LB" : "SO_REUSEPORT";
}

int option_set(int fd, int option)
{
    int on = 1;
    if ((option == REUSEADDR || option == REUSEADDR_AND_PORT)
        && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0)
        return -1;
    if (has_plain(option) && setsockopt(fd, SOL_SOCKET, OPTION_REUSEPORT, &on, sizeof on) != 0)
        return -1;
    if (has_balancing(option))
        return setsockopt(fd, SOL_SOCKET, OPTION_REUSEPORT_LB, &on, sizeof on);
    return 0;
}

int accept_as_asked(const struct trial *trial, int listener)
{
    if (trial->question->accepting == WITH_DATA)
        return platform_accept_with_data(listener);
    if (trial->question->accepting == FAST_OPEN)
        return platform_accept_fast_open(listener, trial->backlog);
    return 0;
}

/* No other flag was set before: each is a new socket or device.  A sandbox pays dearly for a second
 * call that reads them (ptrace: 20 to 30 us). */
int set_nonblocking(int fd)
{
    return fcntl(fd, F_SETFL, O_NONBLOCK);
}

/* IPV6_V6ONLY is always set, because its default differs (RFC 3493 5.3 against NetBSD's ip6(4)). */
int socket_of_member(const struct trial *trial, int family, int option, struct outcome *outcome)
{
    int six_only = family == IPV6;
    int fd = socket(family == IPV4 ? AF_INET : AF_INET6,
                    trial->question->udp ? SOCK_DGRAM : SOCK_STREAM,
                    trial->question->protocol == MPTCP ? platform_mptcp : 0);
    *outcome = outcome_of(CALL_SOCKET, fd < 0);
    if (fd < 0)
        return -1;
    int failed = family != IPV4
        && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &six_only, sizeof six_only) != 0;
    if (!failed)
        failed = option_set(fd, option) != 0;
    *outcome = outcome_of(CALL_SETSOCKOPT, failed);
    if (!failed)
        return fd;
    close(fd);
    return -1;
}

int socket_of_client(const struct trial *trial)
{
    const struct question *question = trial->question;
    int multipath = question->protocol == MPTCP && question->peer != BY_TCP;
    return socket(question->family == IPV6 ? AF_INET6 : AF_INET,
                  question->udp ? SOCK_DGRAM : SOCK_STREAM, multipath ? platform_mptcp : 0);
}

/* Where the queue of the loopback interface is full, some kernels say ENOBUFS and drop the datagram
 * (netbsd: looutput()). */
int send_patiently(int fd, const void *bytes, int count, const struct address *to, int *retries)
{
    ssize_t put;
    for (int tries = 0;; tries++) {
        put = sendto(fd, bytes, (size_t)count, 0,
                     to != NULL ? (const struct sockaddr *)&to->storage : NULL,
                     to != NULL ? to->size : 0);
        if (put >= 0 || (errno != ENOBUFS && errno != EAGAIN && errno != EINTR)
            || tries == SEND_TRIES)
            return (int)put;
        ++*retries;
        pause_ms(1);
    }
}
