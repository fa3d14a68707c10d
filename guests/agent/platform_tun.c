/* A tun device: one section per way a system makes one. */
#include "platform_tun.h"

#include "platform_netlink.h"

#include <sys/ioctl.h>

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifdef __linux__
#include <arpa/inet.h>
#include <netinet/in.h>

#include <linux/if_tun.h>

/* As in <linux/ipv6.h>, which conflicts with <netinet/in.h>. */
struct in6_ifreq {
    struct in6_addr address;
    uint32_t prefix;
    int index;
};

/* The device ends with its descriptor (Documentation/networking/tuntap). */
int platform_tun_open(struct tun *tun)
{
    struct ifreq request;
    memset(tun, 0, sizeof *tun);
    memset(&request, 0, sizeof request);
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    tun->fd = open("/dev/net/tun", O_RDWR);
    if (tun->fd < 0)
        return errno;
    if (ioctl(tun->fd, TUNSETIFF, &request) != 0) {
        int error = errno;
        close(tun->fd);
        return error;
    }
    /* gvisor: TUNSETIFF does not tell the name that it chose. */
    if (request.ifr_name[0] == '\0')
        ioctl(tun->fd, TUNGETIFF, &request);
    snprintf(tun->name, sizeof tun->name, "%s", request.ifr_name);
    return 0;
}

void platform_tun_close(const struct tun *tun)
{
    close(tun->fd);
}

static void set_address(struct ifreq *request, const char *text)
{
    struct sockaddr_in place;
    memset(&place, 0, sizeof place);
    place.sin_family = AF_INET;
    inet_pton(AF_INET, text, &place.sin_addr);
    memcpy(&request->ifr_addr, &place, sizeof place);
}

/* Setting the mask adds the route, for which the device must be up (netdevice(7)). */
static int address_four(int fd, struct ifreq *request, const char *ours)
{
    set_address(request, ours);
    if (ioctl(fd, SIOCSIFADDR, request) != 0 || ioctl(fd, SIOCGIFFLAGS, request) != 0)
        return errno;
    request->ifr_flags |= IFF_UP;
    if (ioctl(fd, SIOCSIFFLAGS, request) != 0)
        return errno;
    set_address(request, "255.255.255.0");
    return ioctl(fd, SIOCSIFNETMASK, request) == 0 ? 0 : errno;
}

static int address_six(int fd, struct ifreq *request, const char *ours)
{
    struct in6_ifreq six;
    memset(&six, 0, sizeof six);
    inet_pton(AF_INET6, ours, &six.address);
    six.prefix = 64;
    if (ioctl(fd, SIOCGIFFLAGS, request) != 0)
        return errno;
    request->ifr_flags |= IFF_UP;
    if (ioctl(fd, SIOCSIFFLAGS, request) != 0 || ioctl(fd, SIOCGIFINDEX, request) != 0)
        return errno;
    six.index = request->ifr_ifindex;
    return ioctl(fd, SIOCSIFADDR, &six) == 0 ? 0 : errno;
}

int platform_tun_address(const struct tun *tun, int six, const char *ours, const char *theirs,
                         const char *net)
{
    struct ifreq request;
    (void)theirs, (void)net; /* the prefix has a route by itself */
    int fd = socket(six ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
    if (fd < 0)
        return errno;
    memset(&request, 0, sizeof request);
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", tun->name);
    int error = six ? address_six(fd, &request, ours) : address_four(fd, &request, ours);
    close(fd);
    /* gvisor: no ioctl sets an address.  rtnetlink does, and its devices are up from the start. */
    if (error == ENOTTY)
        error = platform_netlink_address(tun->name, six, ours, six ? 64 : 24);
    return error;
}

#elif defined(__sun) /* illumos: a tun device needs a driver that is no part of it */

int platform_tun_open(struct tun *tun)
{
    (void)tun;
    return ENODEV;
}

void platform_tun_close(const struct tun *tun)
{
    (void)tun;
}

int platform_tun_address(const struct tun *tun, int six, const char *ours, const char *theirs,
                         const char *net)
{
    (void)tun, (void)six, (void)ours, (void)theirs, (void)net;
    return ENODEV;
}

#else /* the BSDs and darwin */
#include "tool.h"

/* The arguments of ifconfig(8) and route(8) are the same on all of these; the structures of
 * SIOCAIFADDR and of the routing socket are not. */

/* route(8) does not say in its status why it failed.  Most often the net has a route already. */
static int add_route(const char *const *words)
{
    int error = tool_run("/sbin/route", words);
    return error == EINVAL ? EEXIST : error;
}

/* A point-to-point link, and a route to the net behind its far end (ifconfig(8), route(8)). */
int platform_tun_address(const struct tun *tun, int six, const char *ours, const char *theirs,
                         const char *net)
{
    const char *const four_link[] = { "ifconfig", tun->name, "inet", ours, theirs, "netmask",
                                      "255.255.255.255", "up", NULL };
    const char *const six_link[] = { "ifconfig", tun->name, "inet6", ours, theirs, "prefixlen",
                                     "128", NULL };
    const char *const up[] = { "ifconfig", tun->name, "up", NULL };
    const char *const four_route[] = { "route", "-n", "add", "-net", net, "-netmask",
                                       "255.255.255.0", theirs, NULL };
    const char *const six_route[] = { "route", "-n", "add", "-inet6", net, "-prefixlen", "64",
                                      theirs, NULL };
    int error = tool_run("/sbin/ifconfig", six ? six_link : four_link);
    if (error == 0)
        error = tool_run("/sbin/ifconfig", up);
    return error == 0 ? add_route(six ? six_route : four_route) : error;
}

#ifdef __APPLE__
#include <sys/kern_control.h>

#include <net/if_utun.h>

/* As in <sys/sys_domain.h>, which Zig's copy of the headers lacks. */
#ifndef SYSPROTO_CONTROL
#define SYSPROTO_CONTROL 2
#endif
#ifndef AF_SYS_CONTROL
#define AF_SYS_CONTROL 2
#endif

/* utun is a kernel control: the device lives as long as the socket, and each packet has its address
 * family before it (xnu: bsd/net/if_utun.c). */
int platform_tun_open(struct tun *tun)
{
    struct ctl_info info;
    struct sockaddr_ctl address;
    memset(tun, 0, sizeof *tun);
    tun->headed = 1;
    tun->fd = socket(PF_SYSTEM, SOCK_DGRAM, SYSPROTO_CONTROL);
    if (tun->fd < 0)
        return errno;
    socklen_t size = sizeof tun->name;
    memset(&info, 0, sizeof info);
    memset(&address, 0, sizeof address);
    snprintf(info.ctl_name, sizeof info.ctl_name, "%s", UTUN_CONTROL_NAME);
    int failed = ioctl(tun->fd, CTLIOCGINFO, &info);
    if (failed == 0) {
        address.sc_len = sizeof address;
        address.sc_family = AF_SYSTEM;
        address.ss_sysaddr = AF_SYS_CONTROL;
        address.sc_id = info.ctl_id;
        failed = connect(tun->fd, (struct sockaddr *)&address, sizeof address);
    }
    if (failed == 0)
        failed = getsockopt(tun->fd, SYSPROTO_CONTROL, UTUN_OPT_IFNAME, tun->name, &size);
    int error = errno;
    if (failed != 0)
        close(tun->fd);
    return failed == 0 ? 0 : error;
}

void platform_tun_close(const struct tun *tun)
{
    close(tun->fd);
}
#else
#include <sys/sockio.h>

#ifdef __DragonFly__
#include <net/tun/if_tun.h>
#else
#include <net/if_tun.h>
#endif

/* A tun device that does not expect the address family before each packet takes IPv4 only (freebsd:
 * tunwrite_l3()).  OpenBSD's always expects it. */
static int tell_family(int fd)
{
#ifdef TUNSIFHEAD
    int on = 1;
    return ioctl(fd, TUNSIFHEAD, &on);
#else
    (void)fd;
    return 0;
#endif
}

static int destroy(const char *name)
{
    struct ifreq request;
    int ether = socket(AF_INET, SOCK_DGRAM, 0);
    if (ether < 0)
        return errno;
    memset(&request, 0, sizeof request);
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    int failed = ioctl(ether, SIOCIFDESTROY, &request);
    int error = errno;
    close(ether);
    return failed == 0 ? 0 : error;
}

/* A device that exists may be left over from an agent that was killed, and can be used; it is
 * destroyed in the end only if it was made here.  If a process has it open, open() says EBUSY; while
 * another makes it or destroys it, ENXIO or ENOENT (freebsd: a node without its interface). */
static int open_unit(struct tun *tun, int ether, int unit)
{
    struct ifreq request;
    char path[32];
    memset(&request, 0, sizeof request);
    snprintf(tun->name, sizeof tun->name, "tun%d", unit);
    snprintf(request.ifr_name, sizeof request.ifr_name, "tun%d", unit);
    snprintf(path, sizeof path, "/dev/tun%d", unit);
    tun->made = ioctl(ether, SIOCIFCREATE, &request) == 0;
    if (!tun->made && errno != EEXIST)
        return errno;
    tun->fd = open(path, O_RDWR);
    if (tun->fd >= 0 && tell_family(tun->fd) == 0)
        return 0;
    int error = errno, passing = !tun->made && (error == ENXIO || error == ENOENT);
    if (tun->fd >= 0)
        close(tun->fd);
    if (tun->made)
        destroy(tun->name);
    return passing ? EBUSY : error;
}

/* Some systems have device nodes for units 0 to 3 only; elsewhere a node comes with its device. */
int platform_tun_open(struct tun *tun)
{
    enum { NODES = 4, UNITS = 16 };
    int error = EBUSY;
    int ether = socket(AF_INET, SOCK_DGRAM, 0);
    if (ether < 0)
        return errno;
    memset(tun, 0, sizeof *tun);
    tun->headed = 1;
    for (int unit = 0; unit < NODES && error == EBUSY; unit++)
        error = open_unit(tun, ether, NODES - 1 - unit);
    int nodes = error;
    for (int unit = NODES; unit < UNITS && error == EBUSY; unit++)
        error = open_unit(tun, ether, unit);
    close(ether);
    return error == 0 ? 0 : nodes;
}

void platform_tun_close(const struct tun *tun)
{
    close(tun->fd);
    if (tun->made)
        destroy(tun->name);
}
#endif
#endif
