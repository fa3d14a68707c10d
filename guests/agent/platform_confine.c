/* A process puts itself apart from the others: one section for Linux, one for FreeBSD. */
#include "platform_confine.h"

#include "question.h"

#include <errno.h>

#ifdef __linux__
#include <sys/syscall.h>

#include <linux/sched.h>
#include <unistd.h>

/* A user who is not root may have a network namespace inside a user namespace
 * (user_namespaces(7)).  The user stays the same, so groups still see one user. */
int platform_confine(int how, const char *name)
{
    (void)name;
    if (how != IN_NETNS)
        return ENOSYS;
    if (syscall(SYS_unshare, CLONE_NEWNET) == 0)
        return 0;
    if (errno != EPERM)
        return errno;
    return syscall(SYS_unshare, CLONE_NEWUSER | CLONE_NEWNET) == 0 ? 0 : errno;
}

#elif defined(__FreeBSD__)
#include <sys/param.h>
#include <sys/jail.h>
#include <sys/uio.h>

#include <stddef.h>
#include <string.h>

static struct iovec part(const void *bytes, size_t size)
{
    union { const void *in; void *out; } pointer = { bytes }; /* the kernel only reads it */
    return (struct iovec){ .iov_base = pointer.out, .iov_len = size };
}

/* Without a path the jail has the files of this process.  Its addresses are those of the system
 * (jail(8), ip4=inherit), as the clients have to reach it. */
static int enter_jail(const char *name)
{
    int inherit = JAIL_SYS_INHERIT;
    struct iovec parts[] = {
        part("name", sizeof "name"), part(name, strlen(name) + 1),
        part("ip4", sizeof "ip4"), part(&inherit, sizeof inherit),
        part("ip6", sizeof "ip6"), part(&inherit, sizeof inherit),
    };
    if (jail_set(parts, 2, JAIL_UPDATE | JAIL_ATTACH) >= 0)
        return 0;
    if (errno != ENOENT)
        return errno;
    return jail_set(parts, sizeof parts / sizeof parts[0], JAIL_CREATE | JAIL_ATTACH) >= 0
        ? 0 : errno;
}

/* A socket takes the FIB of the process that opens it (setfib(2)). */
int platform_confine(int how, const char *name)
{
    if (how == IN_NETNS)
        return ENOSYS;
    if (how == IN_JAIL)
        return enter_jail(name);
    return setfib(1) == 0 ? 0 : errno;
}

#else

int platform_confine(int how, const char *name)
{
    (void)how, (void)name;
    return ENOSYS;
}
#endif
