/* Ports: the one that the group shares, and those of the clients. */
#include "ports.h"

#include "addresses.h"
#include "client.h"
#include "dual_stack.h"
#include "ending.h"
#include "errno_name.h"
#include "sockets.h"
#include "trial.h"
#include "unsupported.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

/* The two ranges are apart: a group must never take the port of a flow that will come again. */
enum {
    PORT_FIRST = 10000, PORT_LAST = 60999, PORTS = PORT_LAST - PORT_FIRST + 1,
    GROUP_FIRST = 61000, GROUP_LAST = 65535,
    RESERVE_TRIES = 200
};

/* How many questions share the ports.  Those that run at once each draw from a share of their own:
 * a flow that comes again on its port would otherwise wait for another question's flow.  A hash
 * makes the shares, so that the ports of one have no structure (docs/traps.md, trap 2).  A question
 * with too many flows for its share draws from all ports; none of its flows comes again. */
static int shares(const struct trial *trial)
{
    const struct question *question = trial->question;
    if (!trial->client->sockets)
        return 1; /* its clients have a net of their own */
    return question->flows <= PORTS / question->slots / 4 ? question->slots : 1;
}

static int draw_between(struct trial *trial, int first, int last)
{
    int ports = last - first + 1, share = shares(trial), port;
    do
        port = first + (int)(draw(trial) % (uint32_t)ports);
    while (share > 1 && mix((uint32_t)port) % (uint32_t)share != (uint32_t)trial->question->slot);
    return port;
}

int draw_port(struct trial *trial)
{
    int port;
    if (trial->ports_drawn >= PORTS / shares(trial) / 4 * 3) {
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

/* The socket has no option: with one it could join the group of another program unnoticed
 * (docs/traps.md, trap 8). */
int try_reserve(struct trial *trial, struct outcome *outcome)
{
    trial->port = draw_between(trial, GROUP_FIRST, GROUP_LAST);
    struct address place = address_of_member(trial);
    int fd = socket_of_member(trial, trial->family, NONE, outcome);
    if (fd < 0)
        return -1;
    int failed = bind(fd, (struct sockaddr *)&place.storage, place.size);
    *outcome = outcome_of(CALL_BIND, failed);
    close(fd);
    return failed;
}

static void no_family(struct trial *trial, struct outcome outcome)
{
    static const char *const families[] = { "IPv4", "IPv6", "IPv4-mapped IPv6" };
    unsupported(trial, "no %s here: %s: %s", families[trial->family], call_name(outcome.call),
                errno_name(outcome.error));
}

/* A kernel may be built without a family, and an interface may have no address of it. */
void need_family(struct trial *trial, struct outcome outcome)
{
    static const int lacking[] = { EAFNOSUPPORT, EPROTONOSUPPORT, EADDRNOTAVAIL };
    for (size_t i = 0; i < sizeof lacking / sizeof lacking[0]; i++)
        if (outcome.call != NO_CALL && outcome.error == lacking[i])
            no_family(trial, outcome);
}

void reserve_port(struct trial *trial)
{
    struct outcome outcome;
    int tries = 0;
    need_dual_stack(trial);
    do
        if (try_reserve(trial, &outcome) == 0)
            return;
    while (outcome.error == EADDRINUSE && ++tries < RESERVE_TRIES);
    need_family(trial, outcome);
    if (outcome.error == EADDRINUSE)
        short_of(trial, "ports: %d tries between %d and %d: %s: %s", tries, GROUP_FIRST,
                 GROUP_LAST, call_name(outcome.call), errno_name(outcome.error));
    if (trial->family != IPV4 && outcome.error != EMFILE && outcome.error != ENFILE)
        no_family(trial, outcome); /* openbsd: IPV6_V6ONLY is always 1 */
    broken("cannot reserve a port: %s: %s", call_name(outcome.call), errno_name(outcome.error));
}

/* A guest may let members bind `::` although its loopback interface has no ::1. */
void no_port(struct trial *trial, int port, int tries, int error)
{
    if (error == EADDRNOTAVAIL && trial->question->source == MANY_ADDRESSES)
        unsupported(trial, "this guest has one loopback address of IPv4 only: bind: %s",
                    errno_name(error));
    if (error == EADDRNOTAVAIL && trial->question->family == IPV6)
        unsupported(trial, "no ::1 here: bind: %s", errno_name(error));
    if (error == EADDRINUSE)
        short_of(trial, "ports: %d tries to bind a client: %s", tries, errno_name(error));
    broken("a client cannot bind port %d: %s", port, errno_name(error));
}
