/* Listeners that are told of a connection when its first data has come: later than usual, when the
 * client is silent, or earlier, when the data comes with the SYN. */
#ifndef PLATFORM_ACCEPT_H
#define PLATFORM_ACCEPT_H

#include "platform.h"

/* The listener waits for data: TCP_DEFER_ACCEPT of Linux's tcp(7), or the filter "dataready" of
 * accept_filter(9) on FreeBSD, DragonFly and NetBSD.  0, or -1 and errno: ENOSYS where a system has
 * neither, ENOENT where the filter is not loaded. */
int platform_accept_with_data(int listener);

/* The listener takes the data of a SYN without a cookie, and holds up to `places` such connections
 * whose handshake is not done (TCP_FASTOPEN, TCP_FASTOPEN_NO_COOKIE).  0, or -1 and errno: ENOSYS
 * on systems other than Linux, ENOPROTOOPT on Linux before 4.15. */
int platform_accept_fast_open(int listener, int places);

/* A client's connect() sends nothing, and its first send() sends a SYN with the data, without a
 * cookie (TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_NO_COOKIE).  0, or -1 and errno: as above, and
 * EOPNOTSUPP where Fast Open is switched off for clients. */
int platform_fast_open(int client);

/* 0 if the other side took the data of this client's SYN; else why it is not known to have,
 * ENOPROTOOPT if it did not. */
int platform_fast_open_missing(int client);

#endif
