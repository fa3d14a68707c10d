/* What differs between systems.  Only files named `platform*` ask which system this is.
 *
 * Every header includes this one first, because it widens what the system's headers show under
 * -std=c99 (netbsd: featuretest.h, __STRICT_ANSI__; darwin: sys/cdefs.h; illumos:
 * sys/feature_tests.h).  It must not define
 * _POSIX_C_SOURCE: xnu's netinet/in.h then hides half of itself. */
#ifndef PLATFORM_H
#define PLATFORM_H

#if defined(__NetBSD__) && !defined(_NETBSD_SOURCE)
#define _NETBSD_SOURCE 1
#endif
#if defined(__sun) && !defined(__EXTENSIONS__)
#define __EXTENSIONS__ 1
#define _XPG4_2 1 /* struct msghdr with msg_control (sys/socket.h) */
#endif
#if defined(__APPLE__) && !defined(_DARWIN_C_SOURCE)
#define _DARWIN_C_SOURCE 1
#endif

#include <sys/types.h>
#include <sys/socket.h>
#ifdef __sun
#include <sys/sockio.h> /* what sys/ioctl.h has elsewhere */
#endif

/* A socket option that these headers do not know is -1. */
#ifdef SO_REUSEPORT
#define OPTION_REUSEPORT SO_REUSEPORT
#else
#define OPTION_REUSEPORT (-1)
#endif
#ifdef SO_REUSEPORT_LB
#define OPTION_REUSEPORT_LB SO_REUSEPORT_LB
#else
#define OPTION_REUSEPORT_LB (-1)
#endif

/* The name of the loopback interface. */
extern const char *const platform_loopback;

/* The socket gets only what comes through the loopback interface: SO_BINDTODEVICE of socket(7),
 * IP_BOUND_IF of darwin's ip(4).  0, or -1 and errno, which is ENOSYS where no system call does it. */
int platform_bind_to_loopback(int fd, int six);

/* The protocol number of MPTCP for socket(), -1 where there is none. */
extern const int platform_mptcp;

/* 0 if this connection uses MPTCP; else why it is not known to, ENOPROTOOPT if it fell back to TCP. */
int platform_mptcp_missing(int fd);

/* With 1, a message does not make this process interrupt the process that sent it; with 0 it does,
 * as usual.  Returns 0, or the errno that says why this cannot be had. */
int platform_take_turns(int wait);

/* Makes this process the parent of grandchildren whose parent dies, where a system can do that. */
void platform_adopt_orphans(void);

#endif
