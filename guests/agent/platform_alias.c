/* Another address of the loopback interface: one section per way a system gives it. */
#include "platform_alias.h"

#include <sys/ioctl.h>

#include <netinet/in.h>

#include <errno.h>
#include <net/if.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

/* Returns 0 or the errno; which ioctl() it is decides what `request` points to. */
static int tell_kernel(int family, unsigned long operation, void *request)
{
    int fd = socket(family, SOCK_DGRAM, 0);
    if (fd < 0)
        return errno;
    int error = ioctl(fd, operation, request) == 0 ? 0 : errno;
    close(fd);
    return error;
}

#ifdef __linux__

/* As in <linux/ipv6.h>, which conflicts with <netinet/in.h>. */
struct in6_ifreq {
    struct in6_addr address;
    uint32_t prefix;
    int index;
};

/* Linux routes all of 127/8 without an address for each (net/ipv4/devinet.c). */
static int change(const struct address *place, unsigned long operation)
{
    struct in6_ifreq request;
    struct ifreq loopback;
    if (place->storage.ss_family != AF_INET6)
        return EADDRNOTAVAIL;
    memset(&loopback, 0, sizeof loopback);
    strcpy(loopback.ifr_name, platform_loopback);
    int error = tell_kernel(AF_INET6, SIOCGIFINDEX, &loopback);
    if (error != 0)
        return error;
    request.address = ((const struct sockaddr_in6 *)(const void *)&place->storage)->sin6_addr;
    request.prefix = 128;
    request.index = loopback.ifr_ifindex;
    return tell_kernel(AF_INET6, operation, &request);
}

int platform_alias_add(const struct address *place)
{
    return change(place, SIOCSIFADDR);
}

int platform_alias_remove(const struct address *place)
{
    return change(place, SIOCDIFADDR);
}

#elif defined(__sun) /* illumos: its SIOCLIFADDIF makes another interface */

int platform_alias_add(const struct address *place)
{
    struct ifreq request;
    (void)place;
    memset(&request, 0, sizeof request);
    strcpy(request.ifr_name, platform_loopback);
    int error = tell_kernel(AF_INET, SIOCGIFFLAGS, &request);
    return error != 0 ? error : EOPNOTSUPP;
}

int platform_alias_remove(const struct address *place)
{
    (void)place;
    return EADDRNOTAVAIL;
}

#else /* the BSDs and darwin */
#include <sys/sockio.h>

static struct sockaddr_in host_four(const struct address *place)
{
    struct sockaddr_in made;
    memcpy(&made, &place->storage, sizeof made);
    made.sin_len = sizeof made;
    made.sin_port = 0;
    return made;
}

/* With a mask of all ones, or it would be a second route to the net (inet(4)). */
static int add_four(const struct address *place)
{
    struct ifaliasreq request;
    struct sockaddr_in host = host_four(place);
    memset(&request, 0, sizeof request);
    strcpy(request.ifra_name, platform_loopback);
    memcpy(&request.ifra_addr, &host, sizeof host);
    host.sin_addr.s_addr = 0xffffffff;
    memcpy(&request.ifra_mask, &host, sizeof host);
    return tell_kernel(AF_INET, SIOCAIFADDR, &request);
}

static int remove_four(const struct address *place)
{
    struct ifreq request;
    struct sockaddr_in host = host_four(place);
    memset(&request, 0, sizeof request);
    strcpy(request.ifr_name, platform_loopback);
    memcpy(&request.ifr_addr, &host, sizeof host);
    return tell_kernel(AF_INET, SIOCDIFADDR, &request);
}

#ifdef __APPLE__

/* Zig's copy of the headers lacks <netinet6/in6_var.h>. */
static int add_six(const struct address *place)
{
    (void)place;
    return EOPNOTSUPP;
}

static int remove_six(const struct address *place)
{
    (void)place;
    return EADDRNOTAVAIL;
}

#else
#include <netinet/in_var.h>

#ifndef __FreeBSD__ /* there in_var.h includes it */
#include <netinet6/in6_var.h>
#endif

enum { FOREVER = -1 }; /* ND6_INFINITE_LIFETIME (netinet6/nd6.h) */

static struct sockaddr_in6 host_six(const struct address *place)
{
    struct sockaddr_in6 made;
    memcpy(&made, &place->storage, sizeof made);
    made.sin6_len = sizeof made;
    made.sin6_port = 0;
    return made;
}

static int add_six(const struct address *place)
{
    struct in6_aliasreq request;
    memset(&request, 0, sizeof request);
    strcpy(request.ifra_name, platform_loopback);
    request.ifra_addr = request.ifra_prefixmask = host_six(place);
    memset(&request.ifra_prefixmask.sin6_addr, 0xff, sizeof request.ifra_prefixmask.sin6_addr);
    request.ifra_lifetime.ia6t_vltime = (uint32_t)FOREVER;
    request.ifra_lifetime.ia6t_pltime = (uint32_t)FOREVER;
    return tell_kernel(AF_INET6, SIOCAIFADDR_IN6, &request);
}

static int remove_six(const struct address *place)
{
    struct in6_ifreq request;
    memset(&request, 0, sizeof request);
    strcpy(request.ifr_name, platform_loopback);
    request.ifr_addr = host_six(place);
    return tell_kernel(AF_INET6, SIOCDIFADDR_IN6, &request);
}
#endif

int platform_alias_add(const struct address *place)
{
    return (place->storage.ss_family == AF_INET ? add_four : add_six)(place);
}

int platform_alias_remove(const struct address *place)
{
    return (place->storage.ss_family == AF_INET ? remove_four : remove_six)(place);
}
#endif
