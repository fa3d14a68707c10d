/* Listeners that are told of a connection only when its first data has come. */
#ifndef PLATFORM_ACCEPT_H
#define PLATFORM_ACCEPT_H

#include "platform.h"

/* The listener waits for data: TCP_DEFER_ACCEPT of Linux's tcp(7), or the filter "dataready" of
 * accept_filter(9) on FreeBSD, DragonFly and NetBSD.  0, or -1 and errno: ENOSYS where a system has
 * neither, ENOENT where the filter is not loaded. */
int platform_accept_with_data(int listener);

#endif
