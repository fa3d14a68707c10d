/* Tunables of the kernel: one section per way a system keeps them. */
#include "platform_tunable.h"

#include <sys/file.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Locks the open file; a child shares the lock, and the last close() ends it (flock(2)).  -1 also
 * while another process has it. */
static int locked(const char *path)
{
    int fd = open(path, O_RDONLY);
#ifdef LOCK_EX /* no tunable can be set where it is missing */
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        return -1;
    }
#endif
    return fd;
}

#ifdef __linux__

enum { PATH = 256 };

/* A tunable is a file below /proc/sys; the dots of its name are slashes (proc(5)). */
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

/* Locks the tunable's own file.  Where a tunable differs between network namespaces, each namespace
 * has a file of its own (fs/proc/proc_sysctl.c, proc_sys_make_inode()). */
int platform_tunable_lock(const char *name)
{
    char path[PATH];
    return path_of(name, path) == 0 ? locked(path) : -1;
}

#else /* the BSDs and darwin */

/* A tunable is no file here; every machine has a root directory to lock. */
int platform_tunable_lock(const char *name)
{
    (void)name;
    return locked("/");
}

#if defined(__OpenBSD__) || defined(__sun) /* no sysctlbyname(3) */
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
#include <sys/time.h>

/* Ticks per second.  freebsd names them (kern/subr_param.c); elsewhere only the table of all clock
 * rates has them (clocks(7)). */
static int ticks_per_second(char *text, size_t size)
{
    struct clockinfo rates;
    size_t length = sizeof rates;
    if (sysctlbyname("kern.clockrate", &rates, &length, NULL, 0) != 0)
        return -1;
    snprintf(text, size, "%d", rates.hz);
    return 0;
}

/* sysctlbyname(3) does not tell the type.  One byte is a truth value (freebsd: SYSCTL_BOOL), text
 * is printable and ends in NUL, the rest is a number. */
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
        return strcmp(name, "kern.hz") == 0 ? ticks_per_second(text, size) : -1;
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

/* Writes an integer of the same width as the present one. */
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
