/* Several descriptors are waited for at once: poll(2), epoll(7) or kqueue(2). */
#ifndef PLATFORM_WAIT_H
#define PLATFORM_WAIT_H

#include "platform.h"

enum waiting { BY_ACCEPT, BY_POLL, BY_EPOLL, BY_EPOLL_EXCLUSIVE, BY_KQUEUE };

/* Why this system cannot wait in this way; null if it can. */
const char *platform_wait_missing(int wait);

/* A descriptor that waits by epoll or kqueue; -1 and errno. */
int platform_wait_open(void);

/* Waits for this descriptor, too; with `exclusive` a connection need not wake every process that
 * waits for it.  0, or -1 and errno. */
int platform_wait_add(int queue, int fd, int exclusive);

/* Waits without end for a descriptor that can be read; returns it, or -1 and errno. */
int platform_wait_one(int queue);

#endif
