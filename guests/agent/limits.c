/* The guest's limits: open files, and the length of an accept queue. */
#include "limits.h"

#include "client.h"
#include "ending.h"
#include "errno_name.h"
#include "flow.h"
#include "platform_tunable.h"
#include "trial.h"
#include "unsupported.h"

#include <sys/resource.h>

#include <errno.h>
#include <stdlib.h>

enum { SPARE = 32 };

/* Some systems start with 128 open files, and a socket() that fails would look like a lost flow. */
void need_descriptors(struct trial *trial, int count)
{
    struct rlimit limit;
    if (!trial->client->sockets && count > 2 * WINDOW)
        count = 2 * WINDOW; /* only the members need descriptors, for the flows under way */
    rlim_t need = (rlim_t)(count + trial->question->listeners + SPARE);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        broken("getrlimit: %s", errno_name(errno));
    if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= need)
        return;
    long hard = (long)limit.rlim_max;
    limit.rlim_cur = need;
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < need)
        limit.rlim_max = need; /* a privileged process may raise it */
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        if (limit.rlim_cur >= need)
            return;
        hard = (long)limit.rlim_cur; /* less, without an error (freebsd: kern_proc_setrlimit()) */
    }
    unsupported(trial, "%ld open files are needed, the hard limit is %ld", (long)need, hard);
}

/* listen() cuts the backlog to the system's limit and tells nobody (linux: __sys_listen(); freebsd:
 * solisten_proto()).  A limit of 0 or less, or a name that this system does not know, is none. */
int backlog_within_limits(int backlog)
{
    static const char *const names[] = { "net.core.somaxconn", "kern.ipc.somaxconn",
                                         "kern.somaxconn" };
    char text[TUNABLE];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (platform_tunable(names[i], text, sizeof text) != 0)
            continue;
        long limit = strtol(text, NULL, 10);
        if (limit > 0 && limit < backlog)
            backlog = (int)limit;
    }
    return backlog;
}
