/* `datagrams`: which members get them, from one sender, from many ports or many addresses, to a
 * multicast group or a broadcast address.
 *
 * There are few senders.  Their sockets are not connected, because a member answers a datagram to a
 * multicast group from an address of its own. */
#include "scenarios.h"

#include "addresses.h"
#include "clock.h"
#include "confirm.h"
#include "emit.h"
#include "ending.h"
#include "errno_name.h"
#include "flow.h"
#include "flows.h"
#include "limits.h"
#include "members.h"
#include "ports.h"
#include "request.h"
#include "sockets.h"
#include "trial.h"
#include "unsupported.h"

#include <netinet/in.h>

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/* SENDERS: by chance all of them reach the same one of four members with probability 4^-16.  It is
 * a prime, or a kernel that takes turns would give all datagrams of a sender to one member. */
enum { SENDERS = 17, LINGER = 30, TURN = 10, UNANSWERED = 32 };

struct senders {
    int fds[SENDERS], ports[SENDERS];
    struct address to;
};

static int sender_socket(struct trial *trial, int *port)
{
    int on = 1, six = trial->question->family == IPV6;
    unsigned index = if_nametoindex(platform_loopback);
    int fd = socket(six ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || set_nonblocking(fd) != 0)
        broken("a sender has no socket: %s", errno_name(errno));
    *port = draw_port(trial);
    struct address from = address_of_client(trial, *port);
    if (bind(fd, (struct sockaddr *)&from.storage, from.size) != 0)
        broken("a sender cannot bind port %d: %s", *port, errno_name(errno));
    int failed = 0;
    if (trial->question->delivery == BROADCAST) {
        failed = setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof on);
    } else if (trial->question->delivery == MULTICAST && six) {
        failed = setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof index);
    } else if (trial->question->delivery == MULTICAST) {
        struct in_addr loopback = ((struct sockaddr_in *)&from.storage)->sin_addr;
        failed = setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &loopback, sizeof loopback);
    }
    if (failed)
        unsupported(trial, "the loopback interface does not send it: setsockopt: %s",
                    errno_name(errno));
    return fd;
}

static void say_one(struct trial *trial, struct senders *senders, struct flow *flow,
                    uint32_t number)
{
    unsigned char request[REQUEST];
    int sender = (int)(number & 0xfffff) % SENDERS;
    flow->port = senders->ports[sender];
    flow_begin(flow, number);
    flow->state = OPEN;
    request_write(trial, flow->number, request);
    int put = send_patiently(senders->fds[sender], request, sizeof request, &senders->to,
                             &trial->resends);
    if (put != REQUEST)
        flow_end(flow, FAILED, errno);
}

/* One datagram before the members are there: not every loopback interface sends to many. */
static void try_delivery(struct trial *trial)
{
    int port, fd = sender_socket(trial, &port);
    struct address to = address_of_delivery(trial);
    if (send_patiently(fd, "?", 1, &to, &trial->resends) != 1)
        unsupported(trial, "the loopback interface does not send it: sendto: %s",
                    errno_name(errno));
    close(fd);
}

/* The number in the reply says which datagram it answers. */
static void hear_all(struct trial *trial, struct senders *senders, struct flow *flows, int count)
{
    for (int sender = 0; sender < SENDERS; sender++) {
        unsigned char reply[REPLY + 1];
        ssize_t got;
        while ((got = recv(senders->fds[sender], reply, sizeof reply, 0)) >= 0) {
            int flow = (int)(request_number(reply) & 0xfffff);
            if (got == REPLY && flow < count && flows[flow].state == OPEN)
                flow_hear(trial, &flows[flow], reply, (int)got);
        }
    }
}

/* How many senders have something to read; 0 after a lull. */
static int await(const struct senders *senders, int wait)
{
    struct pollfd polls[SENDERS];
    for (int i = 0; i < SENDERS; i++)
        polls[i] = (struct pollfd){ .fd = senders->fds[i], .events = POLLIN };
    int ready = poll(polls, SENDERS, wait);
    if (ready < 0 && errno != EINTR)
        broken("poll: %s", errno_name(errno));
    return ready;
}

/* Few datagrams are unanswered at a time: full buffers would drop more (docs/traps.md, trap 9).  To
 * many members they go in bursts with a lull in between, because the quickest member answers first
 * and would set the pace for the slowest. */
static void send_and_hear(struct trial *trial, struct senders *senders, struct flow *flows,
                          int count)
{
    int started = 0, settled = 0, lull = 1, to_many = trial->question->delivery != UNICAST;
    trial->phases++;
    while (settled < count) {
        int first = to_many ? started : settled;
        int goes_on = !to_many || (lull && settled == started);
        while (goes_on && started < count && started - first < UNANSWERED) {
            uint32_t number = (uint32_t)trial->phases << 20 | (uint32_t)started;
            say_one(trial, senders, &flows[started++], number);
        }
        lull = await(senders, TURN) == 0;
        hear_all(trial, senders, flows, count);
        for (int i = settled; i < started; i++)
            if (flows[i].fate == UNDECIDED
                && clock_ms() - flows[i].started >= trial->question->deadline)
                flow_end(&flows[i], TIMED_OUT, 0);
        while (settled < started && flows[settled].fate != UNDECIDED)
            settled++;
    }
    for (int64_t until = clock_ms() + LINGER; clock_ms() < until;) {
        await(senders, TURN);
        hear_all(trial, senders, flows, count);
    }
}

static void few_senders(struct trial *trial)
{
    struct senders senders;
    int count = trial->question->flows;
    struct flow *flows = flows_new(trial, count);
    for (int i = 0; i < SENDERS; i++)
        senders.fds[i] = sender_socket(trial, &senders.ports[i]);
    senders.to = address_of_delivery(trial);
    send_and_hear(trial, &senders, flows, count);
    for (int i = 0; i < SENDERS; i++)
        close(senders.fds[i]);
    emit_flows(trial, "all", flows, count, 0);
    int sole = sole_server(flows, count);
    flows_end(trial, flows, count);
    confirm_addresses(trial, "addresses", sole, trial->question->listeners);
    confirm_speakers(trial, sole, trial->question->listeners);
}

void datagrams(struct trial *trial)
{
    const struct question *question = trial->question;
    if (question->delivery != UNICAST && !trial->wildcard)
        unsupported(trial, "only a socket that is bound to the wildcard gets what is for many");
    if (question->delivery == BROADCAST && question->family == IPV6)
        unsupported(trial, "IPv6 has no broadcast");
    if (question->delivery == UNICAST && question->source != ONE_SENDER) {
        distribution(trial);
        return;
    }
    reserve_port(trial);
    need_descriptors(trial, question->flows);
    if (question->delivery != UNICAST)
        try_delivery(trial);
    members_fork(trial, question->listeners);
    if (members_stand(trial, question->listeners) == 0)
        few_senders(trial);
}
