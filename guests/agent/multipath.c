/* MPTCP (RFC 8684): whether it can be asked about here, and whether connections really use it.
 *
 * A connection falls back to plain TCP without an error, and its fate would then be TCP's. */
#include "multipath.h"

#include "errno_name.h"
#include "trial.h"
#include "unsupported.h"

#include <errno.h>
#include <unistd.h>

/* A client closes with RST (docs/traps.md, trap 7), which not every MPTCP can. */
void need_multipath(struct trial *trial)
{
    struct linger reset = { .l_onoff = 1, .l_linger = 0 };
    const struct question *question = trial->question;
    if (question->protocol != MPTCP) {
        if (question->peer == BY_TCP || question->peer == BY_MPTCP)
            unsupported(trial, "only listeners of MPTCP are asked with clients of both kinds");
        return;
    }
    if (platform_mptcp < 0)
        unsupported(trial, "this system has no IPPROTO_MPTCP");
    int fd = socket(AF_INET, SOCK_STREAM, platform_mptcp);
    if (fd < 0)
        unsupported(trial, "no MPTCP here: socket: %s", errno_name(errno));
    if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) != 0)
        unsupported(trial, "MPTCP sockets have no SO_LINGER here: %s", errno_name(errno));
    close(fd);
}

void multipath_check(struct trial *trial, int fd)
{
    if (trial->question->protocol != MPTCP || trial->question->peer == BY_TCP)
        return;
    int missing = platform_mptcp_missing(fd);
    if (missing != 0 && trial->multipath == 0)
        unsupported(trial, "a connection is not MPTCP, or the kernel does not say so: %s",
                    errno_name(missing));
    trial->multipath++;
    trial->fallbacks += missing != 0;
}
