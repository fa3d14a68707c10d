/* What differs between systems, but for tunables and tun devices. */
#include "platform.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#ifdef __APPLE__
#include <net/if.h>
#include <netinet/in.h>
#endif

#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <sched.h>
#include <stdint.h>

const char *const platform_loopback = "lo";

const int platform_mptcp = 262; /* IPPROTO_MPTCP, since Linux 5.6 */

/* SOL_MPTCP and MPTCP_INFO, since Linux 5.16 (include/uapi/linux/mptcp.h).  The flags say that the
 * connection fell back, and that the other end sent its key. */
enum { MULTIPATH = 284, INFORMATION = 1, FELL_BACK = 1, HAS_KEY = 2 };

struct information {
    unsigned char counts[8];
    uint32_t flags;
};

int platform_mptcp_missing(int fd)
{
    struct information seen;
    socklen_t size = sizeof seen;
    memset(&seen, 0, sizeof seen);
    if (getsockopt(fd, MULTIPATH, INFORMATION, &seen, &size) != 0)
        return errno;
    return (seen.flags & (FELL_BACK | HAS_KEY)) == HAS_KEY ? 0 : ENOPROTOOPT;
}

enum { BATCH = 3 }; /* SCHED_BATCH, which glibc shows to GNU sources only */

/* In containers pid 1 may reap no orphans, and they would stay as zombies. */
void platform_adopt_orphans(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

/* Linux interrupts the sender of a message for its receiver (kernel/sched/fair.c,
 * check_preempt_wakeup()), but not if that has SCHED_BATCH (sched(7)).  Then a flow takes one
 * switch of processes in place of seven.  Each switch empties the caches of an emulated CPU, and
 * that took half the time of a guest.  syscall(), because musl's sched_setscheduler() only says
 * ENOSYS. */
int platform_take_turns(int wait)
{
    struct sched_param priority;
    memset(&priority, 0, sizeof priority);
    return syscall(SYS_sched_setscheduler, 0, wait ? BATCH : SCHED_OTHER, &priority) == 0 ? 0
                                                                                         : errno;
}

int platform_bind_to_loopback(int fd, int six)
{
    (void)six;
    return setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, platform_loopback,
                      (socklen_t)strlen(platform_loopback) + 1);
}

#else /* the BSDs and darwin */

const char *const platform_loopback = "lo0";
const int platform_mptcp = -1;

int platform_mptcp_missing(int fd)
{
    (void)fd;
    return ENOPROTOOPT;
}

#ifdef IP_BOUND_IF
int platform_bind_to_loopback(int fd, int six)
{
    unsigned int index = if_nametoindex(platform_loopback);
    return setsockopt(fd, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_BOUND_IF : IP_BOUND_IF,
                      &index, sizeof index);
}
#else
int platform_bind_to_loopback(int fd, int six)
{
    (void)fd;
    (void)six;
    errno = ENOSYS;
    return -1;
}
#endif

int platform_take_turns(int wait)
{
    (void)wait;
    return ENOSYS;
}

void platform_adopt_orphans(void)
{
}

#endif
