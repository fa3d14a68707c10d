/* The bodies behind platform.h: one section per way a system does a thing. */
#include "platform.h"

#include <sys/ioctl.h>

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

/* Opening the node makes no interface; TUNSETIFF would (Documentation/networking/tuntap). */
int platform_tun(void)
{
    int fd = open("/dev/net/tun", O_RDWR);
    int error = errno;
    if (fd < 0)
        return error;
    close(fd);
    return 0;
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

#ifdef __APPLE__
#include <sys/kern_control.h>

#include <net/if_utun.h>

/* From <sys/sys_domain.h>, which not every copy of the headers has (Zig's has not). */
#ifndef SYSPROTO_CONTROL
#define SYSPROTO_CONTROL 2
#endif
#ifndef AF_SYS_CONTROL
#define AF_SYS_CONTROL 2
#endif

/* utun is a kernel control; the device lives as long as the socket (xnu, bsd/net/if_utun.c). */
int platform_tun(void)
{
    struct ctl_info info;
    struct sockaddr_ctl address;
    int fd = socket(PF_SYSTEM, SOCK_DGRAM, SYSPROTO_CONTROL);
    int error = errno;
    if (fd < 0)
        return error;
    memset(&info, 0, sizeof info);
    memset(&address, 0, sizeof address);
    snprintf(info.ctl_name, sizeof info.ctl_name, "%s", UTUN_CONTROL_NAME);
    int failed = ioctl(fd, CTLIOCGINFO, &info);
    error = errno;
    if (failed == 0) {
        address.sc_len = sizeof address;
        address.sc_family = AF_SYSTEM;
        address.ss_sysaddr = AF_SYS_CONTROL;
        address.sc_id = info.ctl_id;
        failed = connect(fd, (struct sockaddr *)&address, sizeof address);
        error = errno;
    }
    close(fd);
    return failed == 0 ? 0 : error;
}
#else
#include <sys/sockio.h>

/* Opening a clone node may leave an interface behind, so one is made, opened and destroyed by
 * name.  Units 3 to 0: some systems ship device nodes for these only; a unit in use is passed by. */
int platform_tun(void)
{
    int error = EEXIST;
    int ether = socket(AF_INET, SOCK_DGRAM, 0);
    if (ether < 0)
        return errno;
    for (int unit = 3; unit >= 0 && error == EEXIST; unit--) {
        struct ifreq request;
        char path[32];
        memset(&request, 0, sizeof request);
        snprintf(request.ifr_name, sizeof request.ifr_name, "tun%d", unit);
        snprintf(path, sizeof path, "/dev/tun%d", unit);
        error = ioctl(ether, SIOCIFCREATE, &request) == 0 ? 0 : errno;
        if (error != 0)
            continue;
        int tun = open(path, O_RDWR);
        error = tun >= 0 ? 0 : errno;
        if (tun >= 0)
            close(tun);
        ioctl(ether, SIOCIFDESTROY, &request);
    }
    close(ether);
    return error;
}
#endif
#endif
