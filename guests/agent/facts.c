/* `facts`: what this guest is, what it has, and its tunables. */
#include "scenarios.h"

#include "emit.h"
#include "ending.h"
#include "errno_name.h"
#include "platform_tun.h"
#include "trial.h"
#include "tunable_facts.h"

#include <sys/resource.h>
#include <sys/utsname.h>

#include <netinet/in.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

static void fact_limit(const char *name, rlim_t limit)
{
    if (limit == RLIM_INFINITY)
        emit_fact_text(name, "infinity");
    else
        emit_fact(name, (long long)limit);
}

/* 1, or the name of the errno that says why not. */
static void fact_errno(const char *name, int error)
{
    if (error == 0)
        emit_fact(name, 1);
    else
        emit_fact_text(name, errno_name(error));
}

static int tun_error(void)
{
    struct tun tun;
    int error = platform_tun_open(&tun);
    if (error == 0)
        platform_tun_close(&tun);
    return error;
}

static int ipv6_error(void)
{
    struct sockaddr_in6 loopback;
    int fd = socket(AF_INET6, SOCK_STREAM, 0), error = errno;
    if (fd < 0)
        return error;
    memset(&loopback, 0, sizeof loopback);
    loopback.sin6_family = AF_INET6;
    loopback.sin6_addr.s6_addr[15] = 1;
    error = bind(fd, (struct sockaddr *)&loopback, sizeof loopback) == 0 ? 0 : errno;
    close(fd);
    return error;
}

void facts(struct trial *trial)
{
    struct utsname name;
    struct rlimit files;
    if (uname(&name) < 0 || getrlimit(RLIMIT_NOFILE, &files) != 0)
        broken("uname or getrlimit: %s", errno_name(errno));
    emit_fact_text("sysname", name.sysname);
    emit_fact_text("release", name.release);
    emit_fact_text("version", name.version);
    emit_fact_text("machine", name.machine);
    emit_fact("cpus", sysconf(_SC_NPROCESSORS_ONLN));
    emit_fact("euid", (long long)geteuid());
    emit_fact("page_size", sysconf(_SC_PAGESIZE));
    fact_limit("nofile_soft", files.rlim_cur);
    fact_limit("nofile_hard", files.rlim_max);
    emit_fact("option:reuseaddr", 1);
    emit_fact("option:reuseport", OPTION_REUSEPORT >= 0);
    emit_fact("option:reuseport_lb", OPTION_REUSEPORT_LB >= 0);
    fact_errno("tun", tun_error());
    fact_errno("ipv6", ipv6_error());
    fact_errno("take_turns", platform_take_turns(1));
    emit_tunables(trial->question->tunables);
}
