/* Where members bind, where clients do, and to whom datagrams go. */
#include "addresses.h"

#include "trial.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <net/if.h>
#include <stdio.h>
#include <string.h>

/* Senders with `source=many-addresses` all have this port. */
enum { SOURCE_PORT = 9999 };

static const char *const GROUP_FOUR = "239.255.77.77", *const GROUP_SIX = "ff01::7777";

struct address address(int family, const char *text, int port)
{
    struct address made;
    struct sockaddr_in *four = (struct sockaddr_in *)&made.storage;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&made.storage;
    memset(&made, 0, sizeof made);
    made.storage.ss_family = (sa_family_t)family;
    made.size = family == AF_INET ? sizeof *four : sizeof *six;
    if (family == AF_INET) {
        inet_pton(family, text, &four->sin_addr);
        four->sin_port = htons((uint16_t)port);
    } else {
        inet_pton(family, text, &six->sin6_addr);
        six->sin6_port = htons((uint16_t)port);
    }
    return made;
}

struct address address_of_member(const struct trial *trial)
{
    int family = trial->family == IPV4 ? AF_INET : AF_INET6;
    char mapped[64];
    if (trial->wildcard)
        return address(family, family == AF_INET ? "0.0.0.0" : "::", trial->port);
    snprintf(mapped, sizeof mapped, "::ffff:%s", trial->home[0]);
    return address(family, trial->family == MAPPED ? mapped : trial->home[family != AF_INET],
                   trial->port);
}

struct address address_of_client(const struct trial *trial, int port)
{
    int six = trial->question->family == IPV6;
    int own = trial->question->source == MANY_ADDRESSES ? SOURCE_PORT : port;
    unsigned high = trial->net >> 16, low = trial->net & 0xffff;
    char many[46]; /* a loopback address of IPv4, or one of RFC 4193 */
    if (!trial->spread || port == trial->port)
        return address(six ? AF_INET6 : AF_INET, six ? "::1" : "127.0.0.1", port);
    if (six)
        snprintf(many, sizeof many, "fd72:%x:%x::%x", high, low, (unsigned)port);
    else
        snprintf(many, sizeof many, "127.%u.%d.%d", 1 + low % 250, port / 256, port % 256);
    return address(six ? AF_INET6 : AF_INET, many, own);
}

struct address address_of_peer(const struct trial *trial, int port)
{
    if (trial->family == MAPPED)
        return address(AF_INET6, "::ffff:127.0.0.1", port);
    return address_of_client(trial, port);
}

int port_of(const struct address *place)
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)&place->storage;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)&place->storage;
    return ntohs(place->storage.ss_family == AF_INET ? four->sin_port : six->sin6_port);
}

struct address address_of_delivery(const struct trial *trial)
{
    if (trial->question->delivery == BROADCAST)
        return address(AF_INET, "127.255.255.255", trial->port);
    if (trial->question->delivery == UNICAST)
        return address_of_client(trial, trial->port);
    if (trial->question->family != IPV6)
        return address(AF_INET, GROUP_FOUR, trial->port);
    struct address group = address(AF_INET6, GROUP_SIX, trial->port);
    ((struct sockaddr_in6 *)&group.storage)->sin6_scope_id = if_nametoindex(platform_loopback);
    return group;
}

/* The scope of the group is the site (RFC 2365), or this interface (RFC 4291). */
int join_group(const struct trial *trial, int fd)
{
    struct ip_mreq four;
    struct ipv6_mreq six;
    memset(&four, 0, sizeof four);
    memset(&six, 0, sizeof six);
    if (trial->family == IPV4) {
        inet_pton(AF_INET, GROUP_FOUR, &four.imr_multiaddr);
        inet_pton(AF_INET, trial->home[0], &four.imr_interface);
        return setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &four, sizeof four);
    }
    inet_pton(AF_INET6, GROUP_SIX, &six.ipv6mr_multiaddr);
    six.ipv6mr_interface = if_nametoindex(platform_loopback);
    return setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &six, sizeof six);
}
