/* A place of its own for a server: one section for Linux, one for systems without namespaces. */
#include "platform_place.h"

#include <errno.h>
#include <stddef.h>

const char *const platform_place_agent = "/srv/agent";

#ifdef __linux__
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SIZE "size=64m" /* so that no log fills the guest's memory */

/* clone() with no stack is fork(), whatever the order of its other arguments. */
pid_t platform_place_fork(void)
{
    return (pid_t)syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0);
}

static int memory(const char *path, const char *options)
{
    return mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, options) == 0 ? 0 : errno;
}

static int proc(const char *path)
{
    return mount("proc", path, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0 ? 0 : errno;
}

/* Mounts it on itself, read-only.  In a user namespace a flag of the mount below must stay. */
static int freeze(const char *root)
{
    struct statvfs seen;
    unsigned long flags = MS_BIND | MS_REMOUNT | MS_RDONLY;
    if (mount(root, root, NULL, MS_BIND, NULL) != 0 || statvfs(root, &seen) != 0)
        return errno;
    flags |= (seen.f_flag & ST_NOSUID) != 0 ? MS_NOSUID : 0;
    flags |= (seen.f_flag & MS_NODEV) != 0 ? MS_NODEV : 0;
    flags |= (seen.f_flag & MS_NOEXEC) != 0 ? MS_NOEXEC : 0;
    flags |= (seen.f_flag & MS_NOATIME) != 0 ? MS_NOATIME : 0;
    flags |= (seen.f_flag & MS_NODIRATIME) != 0 ? MS_NODIRATIME : 0;
    flags |= (seen.f_flag & 4096) != 0 ? MS_RELATIME : 0; /* ST_RELATIME, which musl has not */
    return mount(NULL, root, NULL, flags, NULL) == 0 ? 0 : errno;
}

/* In /dev.  A device is bound over an empty file: a user namespace may make none. */
static int devices(void)
{
    static const char *const names[] = { "null", "zero", "full", "random", "urandom", "tty" };
    static const char *const links[][2] = {
        { "/proc/self/fd", "fd" }, { "/proc/self/fd/0", "stdin" }, { "/proc/self/fd/1", "stdout" },
        { "/proc/self/fd/2", "stderr" }
    };
    char device[32];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(device, sizeof device, "/dev/%s", names[i]);
        int fd = open(names[i], O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
        if (fd < 0 || (mount(device, names[i], NULL, MS_BIND, NULL) != 0 && errno != ENOENT))
            return errno;
        close(fd);
    }
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++)
        if (symlink(links[i][0], links[i][1]) != 0)
            return errno;
    return mkdir("shm", 0755) == 0 && chmod("shm", 01777) == 0 ? 0 : errno;
}

/* What servers write to, if the system has it. */
static int writable(void)
{
    static const struct {
        const char *path, *options;
    } folders[] = {
        { "run", SIZE ",mode=0755" }, { "tmp", SIZE ",mode=1777" },
        { "var/log", SIZE ",mode=0755" }, { "var/lib", SIZE ",mode=0755" },
        { "srv", SIZE ",mode=0755" }
    };
    int error = 0;
    for (size_t i = 0; error == 0 && i < sizeof folders / sizeof folders[0]; i++) {
        error = memory(folders[i].path, folders[i].options);
        error = error == ENOENT && strcmp(folders[i].path, "srv") != 0 ? 0 : error;
    }
    return error;
}

/* In the root of the new system.  Not /proc/self/exe: that is in the namespace of before. */
static int bring(const char *program)
{
    int fd = open(platform_place_agent + 1, O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
    if (fd < 0)
        return errno;
    close(fd);
    return mount(program, platform_place_agent + 1, NULL, MS_BIND, NULL) == 0 ? 0 : errno;
}

static int enter(const char *root, const char *program, const char **what)
{
    int error = freeze(root);
    *what = "mount the system read-only";
    if (error != 0)
        return error;
    *what = "mount its /proc";
    if (chdir(root) != 0 || (error = proc("proc")) != 0)
        return errno;
    *what = "mount its /dev";
    if ((error = memory("dev", "mode=0755")) != 0)
        return error;
    if (chdir("dev") != 0 || (error = devices()) != 0 || chdir("..") != 0)
        return errno;
    *what = "mount what it writes to";
    if ((error = writable()) != 0 || (error = bring(program)) != 0)
        return error;
    *what = "chroot";
    return chroot(".") == 0 && chdir("/") == 0 ? 0 : errno;
}

/* Nothing that is mounted here may show elsewhere. */
int platform_place_furnish(const char *root, const char *folder, const char *program,
                           const char **what)
{
    int error = mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 ? 0 : errno;
    *what = "make its mounts private";
    if (error != 0)
        return error;
    if (root != NULL)
        return enter(root, program, what);
    *what = "mount /proc";
    if ((error = proc("/proc")) != 0)
        return error;
    *what = "mount its folder";
    return memory(folder, SIZE ",mode=0755");
}

void platform_place_leave(const char *folder)
{
    umount2(folder, MNT_DETACH);
}

int platform_place_adopt(void)
{
    platform_adopt_orphans();
    return 1;
}

#else

pid_t platform_place_fork(void)
{
    errno = ENOSYS;
    return -1;
}

int platform_place_furnish(const char *root, const char *folder, const char *program,
                           const char **what)
{
    (void)root, (void)folder, (void)program;
    *what = "namespaces";
    return ENOSYS;
}

void platform_place_leave(const char *folder)
{
    (void)folder;
}

#if defined(__FreeBSD__) || defined(__DragonFly__)
#include <sys/procctl.h>
#include <sys/wait.h>

#include <unistd.h>

int platform_place_adopt(void)
{
    return procctl(P_PID, getpid(), PROC_REAP_ACQUIRE, NULL) == 0;
}
#else
int platform_place_adopt(void)
{
    return 0;
}
#endif
#endif
