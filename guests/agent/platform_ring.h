/* An accept() that the kernel goes on with by itself (io_uring of Linux). */
#ifndef PLATFORM_RING_H
#define PLATFORM_RING_H

#include "platform.h"

/* 0, or the errno that says why this system has no io_uring for this process. */
int platform_ring_missing(void);

/* Arms an accept of every connection that comes to this listener, until this process ends.  It is
 * never read what was accepted.  0, or the errno. */
int platform_ring_accept(int listener);

#endif
