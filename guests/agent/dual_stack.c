/* Whether an IPv4 client reaches a socket bound to `::` at all.
 *
 * A setsockopt() that succeeds proves nothing (docs/traps.md, trap 10): IPV6_V6ONLY is read back,
 * and a socket that is alone on its port is the control.  Without it a system that has no such
 * sockets looks as if it lost all flows, and as if it preferred IPv4. */
#include "dual_stack.h"

#include "addresses.h"
#include "errno_name.h"
#include "sockets.h"
#include "trial.h"
#include "unsupported.h"

#include <netinet/in.h>

#include <errno.h>
#include <poll.h>
#include <unistd.h>

enum { MAYBE = 1000 }; /* ms; no answer in that time is no answer: the phases have more of it */

static void close_both(int one, int other)
{
    if (one >= 0)
        close(one);
    if (other >= 0)
        close(other);
}

/* Bound without an option, so that port 0 is nobody else's (docs/traps.md, trap 8). */
static int stand_alone(const struct trial *trial, int family, int *port)
{
    struct outcome outcome;
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;
    const char *any = family == IPV4 ? "0.0.0.0" : "::";
    struct address place = address(family == IPV4 ? AF_INET : AF_INET6, any, 0);
    int fd = socket_of_member(trial, family, NONE, &outcome);
    if (fd < 0)
        return -1;
    if (bind(fd, (struct sockaddr *)&place.storage, place.size) != 0
        || (!trial->question->udp && listen(fd, 1) != 0)
        || getsockname(fd, (struct sockaddr *)&bound, &size) != 0) {
        close(fd);
        return -1;
    }
    *port = ntohs(family == IPV4 ? ((struct sockaddr_in *)&bound)->sin_port
                                 : ((struct sockaddr_in6 *)&bound)->sin6_port);
    return fd;
}

/* The errno by which a client finds nobody at the port, or 0.  A datagram that nobody gets comes
 * back as an error of the connected socket. */
static int call(const struct trial *trial, int client, int server, int port)
{
    struct linger reset = { .l_onoff = 1, .l_linger = 0 };
    struct address to = address(AF_INET, "127.0.0.1", port);
    struct pollfd polls[2] = { { .fd = client, .events = POLLOUT }, { .fd = -1 } };
    int error = 0, udp = trial->question->udp;
    socklen_t size = sizeof error;
    if (setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) != 0
        || set_nonblocking(client) != 0)
        return 0;
    if (connect(client, (struct sockaddr *)&to.storage, to.size) != 0 && errno != EINPROGRESS)
        return errno;
    if (udp && send(client, "?", 1, 0) != 1)
        return errno;
    if (udp) {
        polls[0].events = 0;
        polls[1] = (struct pollfd){ .fd = server, .events = POLLIN };
    }
    poll(polls, 2, MAYBE);
    return getsockopt(client, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

/* How a socket that is alone on its port answers an IPv4 client: an errno, or 0. */
static int alone(const struct trial *trial, int family)
{
    int port = 0, error = 0;
    int server = stand_alone(trial, family, &port);
    int client = socket(AF_INET, trial->question->udp ? SOCK_DGRAM : SOCK_STREAM, 0);
    if (server >= 0 && client >= 0)
        error = call(trial, client, server, port);
    close_both(client, server);
    return error;
}

/* Whether the option that was cleared is still set. */
static int stays_six_only(const struct trial *trial)
{
    struct outcome outcome;
    int value = 0, fd = socket_of_member(trial, MAPPED, NONE, &outcome);
    socklen_t size = sizeof value;
    if (fd < 0)
        return 0; /* reserve_port() says why */
    int stays = getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &value, &size) == 0 && value != 0;
    close(fd);
    return stays;
}

/* An IPv4 socket answers for the guest: a firewall may refuse both, and is no trait of a kernel. */
void need_dual_stack(struct trial *trial)
{
    if (trial->family != MAPPED)
        return;
    if (stays_six_only(trial))
        unsupported(trial, "this system's IPv6 sockets take no IPv4: IPV6_V6ONLY stays set");
    int error = alone(trial, MAPPED);
    if (error == ECONNREFUSED && alone(trial, IPV4) == 0)
        unsupported(trial, "this system's IPv6 sockets take no IPv4: one that is alone: %s",
                    errno_name(error));
}
