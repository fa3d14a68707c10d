/* What differs between systems: the only header that asks which system this is.
 *
 * Included first everywhere, so that it can widen what the system's headers show under -std=c99
 * (netbsd: featuretest.h, __STRICT_ANSI__; darwin: sys/cdefs.h).  _POSIX_C_SOURCE is left alone:
 * once defined, xnu's netinet/in.h hides half of itself. */
#ifndef PLATFORM_H
#define PLATFORM_H

#if defined(__NetBSD__) && !defined(_NETBSD_SOURCE)
#define _NETBSD_SOURCE 1
#endif
#if defined(__APPLE__) && !defined(_DARWIN_C_SOURCE)
#define _DARWIN_C_SOURCE 1
#endif

#include <sys/types.h>
#include <sys/socket.h>

/* A socket option that these headers do not know is -1: it cannot be asked for. */
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

/* Reads a tunable into text (integers in decimal); 0, or -1 if there is none of that name. */
int platform_tunable(const char *name, char *text, size_t size);

/* Gives a tunable another value, an integer in decimal; 0, or the errno. */
int platform_tunable_set(const char *name, const char *text);

/* A descriptor that is open in no other process of ours that was not forked from this one, or -1:
 * who has it may set the tunable. */
int platform_tunable_lock(const char *name);

/* A network interface whose wire is a descriptor: a packet that is written arrives, one that the
 * kernel sends is read.  `headed`: each has its address family before it, 32 bits in network
 * order.  It ends with its descriptor, which nobody else may hold, and platform_tun_close(). */
struct tun {
    int fd, headed, made;
    char name[16];
};

/* 0, or the errno that says why there is none. */
int platform_tun_open(struct tun *);
void platform_tun_close(const struct tun *);

/* Addresses of both ends as text, and the net that is reached through theirs (/24, or /64). */
int platform_tun_address(const struct tun *, int six, const char *ours, const char *theirs,
                         const char *net);

/* Asks that this process, when it has news, waits until who told it has nothing more to do, or (0)
 * that it interrupts others as any process does; 0, or the errno that says why not. */
int platform_take_turns(int wait);

/* Asks to be the parent of grandchildren whose parent dies, where a process can ask that. */
void platform_adopt_orphans(void);

#endif
