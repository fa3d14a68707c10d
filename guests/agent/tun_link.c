/* The tun device: its addresses, and the TCP segments that go through it. */
#include "tun_link.h"

#include "addresses.h"
#include "clock.h"
#include "ending.h"
#include "errno_name.h"
#include "platform_tun.h"
#include "sockets.h"
#include "trial.h"
#include "unsupported.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* SOURCES: hosts behind the device; the first two addresses of the net are the device's own.
 * OPEN_WAIT: ms, for a device that another question has. */
enum {
    SOURCES = 200, FIRST_SOURCE = 3, NETS = 40, BENCHMARK_NETS = 512, BIND_TRIES = 200,
    WRITE_TRIES = 200, FAMILY = 4, OPEN_WAIT = 20000
};

/* A process asks one question, and so has one device. */
static struct {
    struct tun tun;
    int open, six;
    unsigned char ours[16], theirs[16];
} tunnel;

/* Draws a net for benchmarks (RFC 2544 C.2.2), or a unique local one (RFC 4193).  Questions that run
 * at once each draw from nets of their own: Linux gives two devices the same net without a word, and
 * sends the packets of both to one. */
static int choose_net(struct trial *trial)
{
    char ours[46], theirs[46], net[46];
    uint32_t slots = (uint32_t)trial->question->slots, slot = (uint32_t)trial->question->slot;
    uint32_t low = draw(trial) % (BENCHMARK_NETS / slots) * slots + slot;
    uint32_t high = draw(trial) & 0xffff;
    if (tunnel.six) {
        const char *const form = "fd72:%lx:%lx::%s";
        snprintf(ours, sizeof ours, form, (unsigned long)high, (unsigned long)low, "1");
        snprintf(theirs, sizeof theirs, form, (unsigned long)high, (unsigned long)low, "2");
        snprintf(net, sizeof net, form, (unsigned long)high, (unsigned long)low, "");
    } else {
        const char *const form = "198.%lu.%lu.%s";
        unsigned long half = 18 + low / 256, third = low % 256;
        snprintf(ours, sizeof ours, form, half, third, "1");
        snprintf(theirs, sizeof theirs, form, half, third, "2");
        snprintf(net, sizeof net, form, half, third, "0");
    }
    inet_pton(tunnel.six ? AF_INET6 : AF_INET, ours, tunnel.ours);
    inet_pton(tunnel.six ? AF_INET6 : AF_INET, theirs, tunnel.theirs);
    snprintf(trial->home[tunnel.six], sizeof trial->home[0], "%s", ours);
    return platform_tun_address(&tunnel.tun, tunnel.six, ours, theirs, net);
}

/* A new IPv6 address may be tentative for a while (RFC 4862 5.4). */
static int await_address(const struct trial *trial)
{
    int error = EADDRNOTAVAIL, family = tunnel.six ? AF_INET6 : AF_INET;
    struct address place = address(family, trial->home[tunnel.six], 0);
    for (int tries = 0; tries < BIND_TRIES && error == EADDRNOTAVAIL; tries++) {
        int fd = socket(family, SOCK_STREAM, 0);
        if (fd < 0)
            return errno;
        error = bind(fd, (struct sockaddr *)&place.storage, place.size) == 0 ? 0 : errno;
        close(fd);
        if (error == EADDRNOTAVAIL)
            pause_ms(10);
    }
    return error;
}

void link_close(void)
{
    if (tunnel.open)
        platform_tun_close(&tunnel.tun);
    tunnel.open = 0;
}

static void close_link(void *unused)
{
    (void)unused;
    link_close();
}

/* Other questions may have all devices that there are. */
static int open_device(void)
{
    int64_t until = clock_ms() + OPEN_WAIT;
    int error = platform_tun_open(&tunnel.tun);
    while (error == EBUSY && clock_ms() < until) {
        pause_ms(20);
        error = platform_tun_open(&tunnel.tun);
    }
    return error;
}

void link_open(struct trial *trial)
{
    const char *who = geteuid() == 0 ? "" : "needs root: ";
    int error = open_device(), tries = 0;
    if (error == EBUSY)
        broken("every tun device has been in use for %d s", OPEN_WAIT / 1000);
    if (error != 0)
        unsupported(trial, "%sno tun device can be opened: %s", who, errno_name(error));
    tunnel.open = 1;
    at_end(close_link, NULL);
    tunnel.six = trial->question->family == IPV6;
    do
        error = choose_net(trial);
    while (error == EEXIST && ++tries < NETS);
    if (error == 0)
        error = await_address(trial);
    if (error == 0 && set_nonblocking(tunnel.tun.fd) != 0)
        error = errno;
    if (error != 0)
        unsupported(trial, "%sthe tun device takes no %s address: %s", who,
                    tunnel.six ? "IPv6" : "IPv4", errno_name(error));
}

void link_leave(void)
{
    if (tunnel.open)
        close(tunnel.tun.fd);
    tunnel.open = 0;
}

int link_descriptor(void)
{
    return tunnel.tun.fd;
}

/* The address of the host whose client has this port. */
static void source_of(int port, unsigned char *source)
{
    memcpy(source, tunnel.theirs, sizeof tunnel.theirs);
    source[tunnel.six ? 15 : 3] =
        (unsigned char)(FIRST_SOURCE + (uint32_t)port * 2654435761U / 65536 % SOURCES);
}

void link_put(struct segment *segment)
{
    unsigned char packet[FAMILY + SEGMENT_ROOM];
    uint32_t family = htonl((uint32_t)(tunnel.six ? AF_INET6 : AF_INET));
    int before = tunnel.tun.headed ? FAMILY : 0, tries = 0;
    segment->six = tunnel.six;
    source_of(segment->source, segment->from);
    memcpy(segment->to, tunnel.ours, sizeof tunnel.ours);
    memcpy(packet, &family, sizeof family);
    size_t size = (size_t)(before + segment_write(segment, packet + before));
    while (write(tunnel.tun.fd, packet, size) != (ssize_t)size) {
        if ((errno != EAGAIN && errno != ENOBUFS && errno != EINTR) || ++tries > WRITE_TRIES)
            broken("a tun device takes no packet: %s", errno_name(errno));
        pause_ms(1);
    }
}

/* The kernel also sends neighbour and multicast listener messages here, and packets of an earlier
 * net may be left. */
static int is_to_a_host(const struct segment *got)
{
    unsigned char source[16];
    size_t width = tunnel.six ? 16 : 4;
    source_of(got->target, source);
    return got->six == tunnel.six && memcmp(got->to, source, width) == 0
        && memcmp(got->from, tunnel.ours, width) == 0;
}

int link_get(struct segment *got, unsigned char *packet)
{
    int before = tunnel.tun.headed ? FAMILY : 0;
    for (;;) {
        ssize_t size = read(tunnel.tun.fd, packet, FAMILY + SEGMENT_ROOM);
        if (size < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
            broken("a tun device gives no packet: %s", errno_name(errno));
        if (size < 0)
            return -1;
        if (segment_read(got, packet + before, (int)size - before) == 0 && is_to_a_host(got))
            return 0;
    }
}
