/* Waiting by epoll(7) on Linux, and on kernels that imitate it; by kqueue(2) on the others. */
#include "platform_wait.h"

#include <errno.h>
#include <stdint.h>
#include <stddef.h>
#include <string.h>

#if defined(__linux__)
#include <sys/epoll.h>

#ifndef EPOLLEXCLUSIVE
#define EPOLLEXCLUSIVE (1u << 28) /* Linux 4.5 */
#endif

const char *platform_wait_missing(int wait)
{
    return wait == BY_KQUEUE ? "no kqueue on this system" : NULL;
}

int platform_wait_open(void)
{
    return epoll_create1(0);
}

int platform_wait_add(int queue, int fd, int exclusive)
{
    struct epoll_event event;
    memset(&event, 0, sizeof event);
    event.events = exclusive ? EPOLLIN | EPOLLEXCLUSIVE : EPOLLIN;
    event.data.fd = fd;
    return epoll_ctl(queue, EPOLL_CTL_ADD, fd, &event);
}

int platform_wait_one(int queue)
{
    struct epoll_event event;
    int count;
    do
        count = epoll_wait(queue, &event, 1, -1);
    while (count == 0 || (count < 0 && errno == EINTR));
    return count < 0 ? -1 : event.data.fd;
}

#elif defined(__sun) /* illumos: poll(2) alone; its event ports report a descriptor only once */

const char *platform_wait_missing(int wait)
{
    if (wait == BY_KQUEUE)
        return "no kqueue on this system";
    return wait == BY_EPOLL || wait == BY_EPOLL_EXCLUSIVE ? "no epoll on this system" : NULL;
}

int platform_wait_open(void)
{
    errno = ENOSYS;
    return -1;
}

int platform_wait_add(int queue, int fd, int exclusive)
{
    (void)queue, (void)fd, (void)exclusive;
    errno = ENOSYS;
    return -1;
}

int platform_wait_one(int queue)
{
    (void)queue;
    errno = ENOSYS;
    return -1;
}

#else
#include <sys/event.h>
#include <sys/time.h>

#ifdef __NetBSD__
/* netbsd: 11 has a larger structure, and so another symbol (sys/event.h, __kevent100).  Headers of
 * 11 may meet an older libc here, and every libc has the symbol of 5.0. */
struct kevent_of_5 {
    uintptr_t ident;
    uint32_t filter, flags, fflags;
    int64_t data;
    void *udata;
};
int __kevent50(int, const struct kevent_of_5 *, size_t, struct kevent_of_5 *, size_t,
               const struct timespec *);
#define kevent_of_all kevent_of_5
#define kevent_by_all __kevent50
#else
#define kevent_of_all kevent
#define kevent_by_all kevent
#endif

const char *platform_wait_missing(int wait)
{
    return wait == BY_EPOLL || wait == BY_EPOLL_EXCLUSIVE ? "no epoll on this system" : NULL;
}

int platform_wait_open(void)
{
    return kqueue();
}

int platform_wait_add(int queue, int fd, int exclusive)
{
    struct kevent_of_all event;
    (void)exclusive;
    memset(&event, 0, sizeof event);
    event.ident = (uintptr_t)fd;
    event.filter = EVFILT_READ;
    event.flags = EV_ADD;
    return kevent_by_all(queue, &event, 1, NULL, 0, NULL);
}

int platform_wait_one(int queue)
{
    struct kevent_of_all event;
    int count;
    do
        count = kevent_by_all(queue, NULL, 0, &event, 1, NULL);
    while (count == 0 || (count < 0 && errno == EINTR));
    return count < 0 ? -1 : (int)event.ident;
}

#endif
