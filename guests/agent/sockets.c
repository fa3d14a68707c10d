/* Addresses, options, ports and limits: what a socket needs before it meets the question. */
#include "agent.h"

#include <sys/ioctl.h>
#include <sys/resource.h>

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Clients' ports and the groups' are apart, or one question's group could stand where another's
 * flow is to come again. */
enum {
    PORT_FIRST = 10000, PORT_LAST = 60999, GROUP_FIRST = 61000, GROUP_LAST = 65535,
    RESERVE_TRIES = 200, LOOPBACK_TRIES = 200, SEND_TRIES = 200, SPARE = 32
};

/* splitmix, 32 bits: the seed in the question draws the same ports again. */
static uint32_t mix(uint32_t z)
{
    z = (z ^ (z >> 16)) * 0x21f0aaadU;
    z = (z ^ (z >> 15)) * 0x735a2d97U;
    return z ^ (z >> 15);
}

uint32_t draw(struct trial *trial)
{
    return mix(trial->draw += 0x9e3779b9U);
}

/* Questions that run at once share the ports out among themselves: a flow that must come again on
 * its port would wait for another question's for ever, and that one for ours.  By a hash, so that
 * a share has no structure (BEHAVIOURS.md, trap 2).  One with too many flows for a share takes its
 * ports from all: it may hold another's for the milliseconds of a flow, and waits for none, for
 * none of its own has to come again. */
static int shares(const struct trial *trial, int ports)
{
    const struct question *question = trial->question;
    if (question->peer == TUN)
        return 1; /* a net of its own */
    return question->flows <= ports / question->slots / 4 ? question->slots : 1;
}

static int draw_between(struct trial *trial, int first, int last)
{
    int ports = last - first + 1, share = shares(trial, PORT_LAST - PORT_FIRST + 1), port;
    do
        port = first + (int)(draw(trial) % (uint32_t)ports);
    while (share > 1 && mix((uint32_t)port) % (uint32_t)share != (uint32_t)trial->question->slot);
    return port;
}

/* A port that this trial has not drawn yet; when few are left those of closed flows come again. */
int draw_port(struct trial *trial)
{
    int port, ports = PORT_LAST - PORT_FIRST + 1;
    if (trial->ports_drawn >= ports / shares(trial, ports) / 4 * 3) {
        memset(trial->drawn, 0, sizeof trial->drawn);
        trial->ports_drawn = 0;
    }
    do
        port = draw_between(trial, PORT_FIRST, PORT_LAST);
    while ((trial->drawn[port / 8] & (1 << port % 8)) != 0);
    trial->drawn[port / 8] |= (unsigned char)(1 << port % 8);
    trial->ports_drawn++;
    return port;
}

/* The token tells this run's answers from anybody's; it must differ even under the same seed. */
void trial_open(struct trial *trial, const struct question *question)
{
    memset(trial, 0, sizeof *trial);
    trial->question = question;
    trial->option = question->option;
    trial->family = question->family;
    trial->wildcard = question->wildcard != SPECIFIC;
    strcpy(trial->home[0], "127.0.0.1");
    strcpy(trial->home[1], "::1");
    trial->began = clock_ms();
    trial->draw = (uint32_t)trial->began * 2654435761U ^ (uint32_t)getpid() << 16;
    uint32_t high = draw(trial), low = draw(trial);
    snprintf(trial->token, sizeof trial->token, "%08lx%08lx", (unsigned long)high,
             (unsigned long)low);
    if (question->seeded)
        trial->draw = question->seed;
}

int set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

/* How many bytes were sent, to the peer where `to` is null.  A full queue of the loopback interface
 * is ENOBUFS on some kernels (netbsd: looutput()) and loses the datagram: it goes again, counted. */
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

/* Why an option cannot be asked for, null if it can. */
const char *option_missing(int option)
{
    if (OPTION_REUSEPORT < 0 && (option == REUSEPORT || option == REUSEPORT_AND_LB))
        return "no SO_REUSEPORT in this system's headers";
    if (OPTION_REUSEPORT_LB < 0 && (option == REUSEPORT_LB || option == REUSEPORT_AND_LB))
        return "no SO_REUSEPORT_LB in this system's headers";
    return NULL;
}

int option_set(int fd, int option)
{
    int on = 1;
    if (option == REUSEADDR)
        return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if ((option == REUSEPORT || option == REUSEPORT_AND_LB)
        && setsockopt(fd, SOL_SOCKET, OPTION_REUSEPORT, &on, sizeof on) != 0)
        return -1;
    if (option == REUSEPORT_LB || option == REUSEPORT_AND_LB)
        return setsockopt(fd, SOL_SOCKET, OPTION_REUSEPORT_LB, &on, sizeof on);
    return 0;
}

/* A socket of the group's kind, not yet bound.  What `::` means is said, not left to a default:
 * the defaults of IPV6_V6ONLY differ (RFC 3493 5.3 against NetBSD's ip6(4)). */
int socket_of_member(const struct trial *trial, int family, int option, struct outcome *outcome)
{
    int six_only = family == IPV6;
    int fd = socket(family == IPV4 ? AF_INET : AF_INET6,
                    trial->question->udp ? SOCK_DGRAM : SOCK_STREAM, 0);
    *outcome = (struct outcome){ "socket", errno };
    if (fd < 0)
        return -1;
    int failed = family != IPV4
        && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &six_only, sizeof six_only) != 0;
    if (!failed)
        failed = option_set(fd, option) != 0;
    *outcome = (struct outcome){ "setsockopt", errno };
    if (failed) {
        close(fd);
        return -1;
    }
    *outcome = (struct outcome){ NULL, 0 };
    return fd;
}

static int try_reserve(struct trial *trial, struct outcome *outcome)
{
    trial->port = draw_between(trial, GROUP_FIRST, GROUP_LAST);
    struct address place = address_of_member(trial);
    int fd = socket_of_member(trial, trial->family, NONE, outcome);
    if (fd < 0)
        return -1;
    int failed = bind(fd, (struct sockaddr *)&place.storage, place.size);
    *outcome = (struct outcome){ "bind", errno };
    close(fd);
    return failed;
}

static void no_family(struct trial *trial, struct outcome outcome)
{
    static const char *const families[] = { "IPv4", "IPv6", "IPv4-mapped IPv6" };
    unsupported(trial, "no %s here: %s: %s", families[trial->family], outcome.call,
                errno_name(outcome.error));
}

/* Kernels are built without a family, and interfaces stand without their address of it. */
void need_family(struct trial *trial, struct outcome outcome)
{
    static const int lacking[] = { EAFNOSUPPORT, EPROTONOSUPPORT, EADDRNOTAVAIL };
    for (size_t i = 0; i < sizeof lacking / sizeof lacking[0]; i++)
        if (outcome.call != NULL && outcome.error == lacking[i])
            no_family(trial, outcome);
}

/* With a socket that has no option, or we might join somebody else's group unawares. */
void reserve_port(struct trial *trial)
{
    struct outcome outcome;
    int tries = 0;
    do
        if (try_reserve(trial, &outcome) == 0)
            return;
    while (outcome.error == EADDRINUSE && ++tries < RESERVE_TRIES);
    need_family(trial, outcome);
    if (outcome.error == EADDRINUSE)
        short_of(trial, "ports: %d tries between %d and %d: %s: %s", tries, GROUP_FIRST, GROUP_LAST,
                 outcome.call, errno_name(outcome.error));
    if (trial->family != IPV4 && outcome.error != EMFILE && outcome.error != ENFILE)
        no_family(trial, outcome); /* IPV6_V6ONLY is not for everybody (openbsd: always 1) */
    broken("cannot reserve a port: %s: %s", outcome.call, errno_name(outcome.error));
}

/* Some systems start with 128 open files, and a socket() that fails would read as a lost flow. */
void need_descriptors(struct trial *trial, int count)
{
    struct rlimit limit;
    if (trial->question->peer == TUN && count > 2 * WINDOW)
        count = 2 * WINDOW; /* its flows are no sockets, and few are with a member at a time */
    rlim_t need = (rlim_t)(count + trial->question->listeners + SPARE);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        broken("getrlimit: %s", errno_name(errno));
    if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < need) {
        long hard = (long)limit.rlim_max;
        limit.rlim_cur = need;
        if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < need)
            limit.rlim_max = need; /* a privileged process may */
        if (setrlimit(RLIMIT_NOFILE, &limit) == 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0) {
            if (limit.rlim_cur >= need)
                return;
            hard = (long)limit.rlim_cur; /* less, and said nothing (freebsd: kern_proc_setrlimit()) */
        }
        unsupported(trial, "%ld open files are needed, the hard limit is %ld", (long)need, hard);
    }
}

/* In a fresh network namespace the loopback interface is down; ::1 may take a moment more. */
void raise_loopback(struct trial *trial)
{
    struct ifreq request;
    struct outcome outcome;
    int tries = 0;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    memset(&request, 0, sizeof request);
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", platform_loopback);
    if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) != 0)
        broken("no loopback interface: %s", errno_name(errno));
    if ((request.ifr_flags & IFF_UP) == 0) {
        request.ifr_flags |= IFF_UP;
        if (ioctl(fd, SIOCSIFFLAGS, &request) != 0)
            broken("cannot raise the loopback interface: %s", errno_name(errno));
    }
    close(fd);
    while (trial->question->family == IPV6 && try_reserve(trial, &outcome) != 0
           && outcome.error == EADDRNOTAVAIL && tries++ < LOOPBACK_TRIES)
        pause_ms(10);
    if (tries > 0)
        emit_fact("loopback-retries", tries);
}
