/* Listeners that are told of a connection when its first data has come. */
#include "platform_accept.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <string.h>

#ifdef TCP_DEFER_ACCEPT

int platform_accept_with_data(int listener)
{
    int seconds = 60; /* for longer than any question holds a connection back */
    return setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds);
}

#elif defined(SO_ACCEPTFILTER)

int platform_accept_with_data(int listener)
{
    struct accept_filter_arg filter;
    memset(&filter, 0, sizeof filter);
    strcpy(filter.af_name, "dataready");
    return setsockopt(listener, SOL_SOCKET, SO_ACCEPTFILTER, &filter, sizeof filter);
}

#else

int platform_accept_with_data(int listener)
{
    (void)listener;
    errno = ENOSYS;
    return -1;
}

#endif

#ifdef __linux__

/* The options by their numbers (include/uapi/linux/tcp.h): the headers of some libraries lack them.
 * SYN_DATA is a flag of tcpi_options, the sixth byte of struct tcp_info; a client has it once the
 * other side acknowledged the data of its SYN (net/ipv4/tcp.c, tcp_get_info()). */
enum { FASTOPEN = 23, FASTOPEN_CONNECT = 30, FASTOPEN_NO_COOKIE = 34, SYN_DATA = 32 };

static int put(int fd, int option, int value)
{
    return setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value);
}

int platform_accept_fast_open(int listener, int places)
{
    return put(listener, FASTOPEN, places) != 0 ? -1 : put(listener, FASTOPEN_NO_COOKIE, 1);
}

int platform_fast_open(int client)
{
    return put(client, FASTOPEN_CONNECT, 1) != 0 ? -1 : put(client, FASTOPEN_NO_COOKIE, 1);
}

int platform_fast_open_missing(int client)
{
    unsigned char bytes[256] = { 0 };
    socklen_t size = sizeof bytes;
    if (getsockopt(client, IPPROTO_TCP, TCP_INFO, bytes, &size) != 0)
        return errno;
    return (bytes[5] & SYN_DATA) != 0 ? 0 : ENOPROTOOPT;
}

#else /* the BSDs and darwin have it too, but nobody has tried it there with this agent */

int platform_accept_fast_open(int listener, int places)
{
    (void)listener;
    (void)places;
    errno = ENOSYS;
    return -1;
}

int platform_fast_open(int client)
{
    (void)client;
    errno = ENOSYS;
    return -1;
}

int platform_fast_open_missing(int client)
{
    (void)client;
    return ENOSYS;
}

#endif
