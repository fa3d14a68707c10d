/* Listeners that are told of a connection only when its first data has come. */
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
