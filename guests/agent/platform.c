/* The bodies behind platform.h: one section per way a system does a thing. */
#include "platform.h"

#include <sys/file.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A lock of the open file, which a fork shares and the last close ends (flock(2)); -1 also while
 * somebody else has it. */
static int locked(const char *path)
{
    int fd = open(path, O_RDONLY);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <sched.h>

const char *const platform_loopback = "lo";

enum { PATH = 256, BATCH = 3 /* SCHED_BATCH, which glibc shows to GNU sources only */ };

/* proc(5): a tunable is a file below /proc/sys, its dots are slashes. */
static int path_of(const char *name, char path[PATH])
{
    if (snprintf(path, PATH, "/proc/sys/%s", name) >= PATH)
        return -1;
    for (char *c = path + strlen("/proc/sys/"); *c != '\0'; c++)
        if (*c == '.')
            *c = '/';
    return 0;
}

int platform_tunable(const char *name, char *text, size_t size)
{
    char path[PATH];
    if (path_of(name, path) != 0)
        return -1;
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return -1;
    int got = fgets(text, (int)size, file) != NULL;
    fclose(file);
    text[got ? strcspn(text, "\n") : 0] = '\0';
    return got ? 0 : -1;
}

int platform_tunable_set(const char *name, const char *text)
{
    char path[PATH];
    if (path_of(name, path) != 0)
        return ENOENT;
    int fd = open(path, O_WRONLY), error = 0;
    if (fd < 0)
        return errno;
    if (write(fd, text, strlen(text)) < 0)
        error = errno;
    close(fd);
    return error;
}

/* The tunable's own file: each network namespace has its own of those that differ between them
 * (linux: fs/proc/proc_sysctl.c, proc_sys_make_inode() of the namespace's table). */
int platform_tunable_lock(const char *name)
{
    char path[PATH];
    return path_of(name, path) == 0 ? locked(path) : -1;
}

/* Where pid 1 reaps nobody, as in containers, orphans would stay as zombies. */
void platform_adopt_orphans(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

/* Linux interrupts whoever sends for whoever receives (kernel/sched/fair.c,
 * check_preempt_wakeup()), but not for SCHED_BATCH (sched(7)).  Seven changes of the process for
 * one flow are then one, and each costs an emulated CPU all that it knows of memory: half the time
 * of a guest was that.  By its number, for musl's own function only says ENOSYS. */
int platform_take_turns(int wait)
{
    struct sched_param priority;
    memset(&priority, 0, sizeof priority);
    return syscall(SYS_sched_setscheduler, 0, wait ? BATCH : SCHED_OTHER, &priority) == 0 ? 0
                                                                                         : errno;
}

#else /* the BSDs and darwin */

const char *const platform_loopback = "lo0";

int platform_take_turns(int wait)
{
    (void)wait;
    return ENOSYS;
}

void platform_adopt_orphans(void)
{
}

/* A tunable is no file; the root directory is there on every machine, and needs no name of ours. */
int platform_tunable_lock(const char *name)
{
    (void)name;
    return locked("/");
}

#ifdef __OpenBSD__ /* no sysctlbyname(3) */
int platform_tunable(const char *name, char *text, size_t size)
{
    (void)name, (void)text, (void)size;
    return -1;
}

int platform_tunable_set(const char *name, const char *text)
{
    (void)name, (void)text;
    return ENOENT;
}
#else
#include <sys/sysctl.h>

/* sysctlbyname(3) does not say the type: one byte is a truth value (freebsd: SYSCTL_BOOL), text
 * ends in NUL and is printable, the rest is a number. */
int platform_tunable(const char *name, char *text, size_t size)
{
    union {
        char bytes[128];
        int number;
        long long large;
    } value;
    size_t length = sizeof value;
    memset(&value, 0, sizeof value);
    if (sysctlbyname(name, &value, &length, NULL, 0) != 0)
        return -1;
    if (length == 1)
        snprintf(text, size, "%d", (unsigned char)value.bytes[0]);
    else if (length == sizeof value.number
             && (value.bytes[0] < ' ' || value.bytes[length - 1] != '\0'
                 || value.bytes[length - 2] < ' '))
        snprintf(text, size, "%d", value.number);
    else if (length == sizeof value.large && memchr(value.bytes, '\0', length - 1) != NULL)
        snprintf(text, size, "%lld", value.large);
    else
        snprintf(text, size, "%.*s", (int)(sizeof value.bytes - 1), value.bytes);
    return 0;
}

/* As wide as what is there. */
int platform_tunable_set(const char *name, const char *text)
{
    long long large = strtoll(text, NULL, 10);
    int number = (int)large;
    unsigned char byte = (unsigned char)large;
    size_t length = 0;
    if (sysctlbyname(name, NULL, &length, NULL, 0) != 0)
        return errno;
    void *value = length == sizeof byte ? (void *)&byte
        : length == sizeof number ? (void *)&number : (void *)&large;
    if (length != sizeof byte && length != sizeof number && length != sizeof large)
        return EINVAL;
    return sysctlbyname(name, NULL, NULL, value, length) == 0 ? 0 : errno;
}
#endif

#endif
