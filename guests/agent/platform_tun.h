/* A tun device: a network interface whose wire is a descriptor.  A packet that is written to it
 * arrives at the kernel; a packet that the kernel sends can be read from it. */
#ifndef PLATFORM_TUN_H
#define PLATFORM_TUN_H

#include "platform.h"

/* `headed`: each packet has its address family before it, 32 bits in network order.  `made`: the
 * device was created here.  It ends with its descriptor, which no other process may hold, and
 * platform_tun_close(). */
struct tun {
    int fd, headed, made;
    char name[16];
};

/* 0, or the errno that says why there is none; EBUSY if others have every device that there is. */
int platform_tun_open(struct tun *);

/* Async-signal-safe. */
void platform_tun_close(const struct tun *);

/* Gives both ends an address, as text, and routes the net (/24, or /64) to the far end; 0, or the
 * errno.  EEXIST: the net may be somebody else's. */
int platform_tun_address(const struct tun *, int six, const char *ours, const char *theirs,
                         const char *net);

#endif
