/* An address of an interface, set over rtnetlink(7): one section for Linux, one for the others. */
#include "platform_netlink.h"

#include <errno.h>

#ifdef __linux__
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>

#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

/* Both attributes carry the same address: on a link that is not point-to-point it is local
 * (linux/if_addr.h). */
struct demand {
    struct nlmsghdr head;
    struct ifaddrmsg about;
    unsigned char attributes[2 * (RTA_LENGTH(sizeof(struct in6_addr)))];
};

struct reply {
    struct nlmsghdr head;
    struct nlmsgerr error;
    unsigned char rest[512];
};

static void add(struct demand *demand, uint16_t kind, const unsigned char *address, size_t size)
{
    struct rtattr attribute;
    unsigned char *place = (unsigned char *)demand + demand->head.nlmsg_len;
    attribute.rta_type = kind;
    attribute.rta_len = (uint16_t)RTA_LENGTH(size);
    memcpy(place, &attribute, sizeof attribute);
    memcpy(place + RTA_LENGTH(0), address, size);
    demand->head.nlmsg_len += RTA_ALIGN(attribute.rta_len);
}

/* With NLM_F_ACK the kernel answers every request with an error, which is 0 for success. */
static int exchange(int fd, const struct demand *demand)
{
    struct reply reply;
    ssize_t size;
    if (send(fd, demand, demand->head.nlmsg_len, 0) < 0)
        return errno;
    do
        size = recv(fd, &reply, sizeof reply, 0);
    while (size < 0 && errno == EINTR);
    if (size < 0)
        return errno;
    if ((size_t)size < NLMSG_LENGTH(sizeof(int)) || reply.head.nlmsg_type != NLMSG_ERROR)
        return EPROTO;
    return -reply.error.error;
}

int platform_netlink_address(const char *interface, int six, const char *text, int prefix)
{
    unsigned char address[sizeof(struct in6_addr)];
    size_t size = six ? sizeof(struct in6_addr) : sizeof(struct in_addr);
    struct demand demand;
    unsigned index = if_nametoindex(interface);
    if (index == 0 || inet_pton(six ? AF_INET6 : AF_INET, text, address) != 1)
        return index == 0 ? errno : EINVAL;
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    if (fd < 0)
        return errno;
    memset(&demand, 0, sizeof demand);
    demand.head.nlmsg_len = NLMSG_LENGTH(sizeof demand.about);
    demand.head.nlmsg_type = RTM_NEWADDR;
    demand.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE;
    demand.about.ifa_family = six ? AF_INET6 : AF_INET;
    demand.about.ifa_prefixlen = (unsigned char)prefix;
    demand.about.ifa_index = index;
    add(&demand, IFA_LOCAL, address, size);
    add(&demand, IFA_ADDRESS, address, size);
    int error = exchange(fd, &demand);
    close(fd);
    return error;
}

#else

int platform_netlink_address(const char *interface, int six, const char *text, int prefix)
{
    (void)interface, (void)six, (void)text, (void)prefix;
    return ENOSYS;
}
#endif
