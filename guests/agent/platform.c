/* The bodies behind platform.h: one section per way a system does a thing. */
#include "platform.h"

#include <stdio.h>
#include <string.h>

#ifdef __linux__
#include <sys/prctl.h>

const char *const platform_loopback = "lo";

/* proc(5): a tunable is a file below /proc/sys, its dots are slashes. */
int platform_tunable(const char *name, char *text, size_t size)
{
    char path[256];
    if (snprintf(path, sizeof path, "/proc/sys/%s", name) >= (int)sizeof path)
        return -1;
    for (char *c = path + strlen("/proc/sys/"); *c != '\0'; c++)
        if (*c == '.')
            *c = '/';
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return -1;
    int got = fgets(text, (int)size, file) != NULL;
    fclose(file);
    text[got ? strcspn(text, "\n") : 0] = '\0';
    return got ? 0 : -1;
}

/* Where pid 1 reaps nobody, as in containers, orphans would stay as zombies. */
void platform_adopt_orphans(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

#else /* the BSDs and darwin */

const char *const platform_loopback = "lo0";

void platform_adopt_orphans(void)
{
}

#ifdef __OpenBSD__ /* no sysctlbyname(3) */
int platform_tunable(const char *name, char *text, size_t size)
{
    (void)name, (void)text, (void)size;
    return -1;
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
#endif

#endif
