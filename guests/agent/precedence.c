/* `precedence`: the members of one port are two sides, which differ in their bind address, their
 * option, their family or their device.  Which side serves a client that matches both?  The one that binds first or
 * last may, whatever it is, so `position=both` asks in both orders (docs/traps.md, trap 16). */
#include "scenarios.h"

#include "ending.h"
#include "errno_name.h"
#include "limits.h"
#include "members.h"
#include "outcome.h"
#include "ports.h"
#include "sides.h"
#include "sockets.h"
#include "trial.h"
#include "unsupported.h"

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

/* On Linux before 5.7 it takes CAP_NET_RAW (net/core/sock.c, sock_bindtoindex_locked()). */
static void need_device(struct trial *trial)
{
    struct outcome outcome;
    int fd = socket_of_member(trial, trial->family, NONE, &outcome);
    need_family(trial, outcome);
    if (fd < 0)
        broken("no socket to bind to a device: %s", errno_name(outcome.error));
    int error = platform_bind_to_loopback(fd, trial->family != IPV4) == 0 ? 0 : errno;
    close(fd);
    if (error == ENOSYS)
        unsupported(trial, "this system binds no socket to a device");
    if (error != 0)
        unsupported(trial, "%sno socket can be bound to a device: %s",
                    error == EPERM ? "needs root: " : "", errno_name(error));
}

static void need_sense(struct trial *trial)
{
    const struct question *question = trial->question;
    if (question->pair == BY_ADDRESS && question->wildcard != MIXED)
        unsupported(trial, "two addresses are bind=mixed");
    if (question->pair == BY_FAMILY
        && (question->family != MAPPED || question->wildcard == SPECIFIC))
        unsupported(trial, "IPv4 beside dual-stack :: is family=mapped, and not bind=specific");
    if (question->pair == BY_OPTION && option_missing(REUSEPORT_AND_LB) != NULL)
        unsupported(trial, "%s", option_missing(REUSEPORT_AND_LB));
    if (question->listeners < 2)
        unsupported(trial, "two sides need two listeners");
    if (question->pair == BY_DEVICE)
        need_device(trial);
}

/* With `bind=mixed` the port is reserved at the wildcard: if it is free there, it is free at every
 * address. */
void precedence(struct trial *trial)
{
    int first = trial->question->position == BOUND_LAST;
    need_sense(trial);
    reserve_port(trial);
    need_descriptors(trial, trial->question->flows);
    members_fork(trial, trial->question->listeners);
    sides_ask(trial, first, trial->question->position == BOTH_ORDERS);
}
