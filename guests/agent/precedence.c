/* `precedence`: the members of one port are two sides, which differ in their bind address, their
 * option, their family or their device.  Which side serves a client that matches both?  The one that binds first or
 * last may, whatever it is, so `position=both` asks in both orders (docs/traps.md, trap 16). */
#include "scenarios.h"

#include "emit.h"
#include "ending.h"
#include "errno_name.h"
#include "flows.h"
#include "limits.h"
#include "members.h"
#include "outcome.h"
#include "ports.h"
#include "sockets.h"
#include "trial.h"
#include "unsupported.h"

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

/* Sets what the members of this side have of their own. */
static void take_side(struct trial *trial, int side)
{
    const struct question *question = trial->question;
    int wide = question->pair == BY_DEVICE ? !side : side;
    trial->wildcard = question->wildcard == MIXED ? wide : question->wildcard;
    trial->device = question->pair == BY_DEVICE && side == 0;
    if (question->pair == BY_OPTION)
        trial->option = side == 0 ? REUSEPORT : REUSEPORT_LB;
    if (question->pair == BY_FAMILY)
        trial->family = side == 0 ? IPV4 : MAPPED;
}

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

/* The members of a side are those from its first to the first of the other, or to the last. */
static int first_of(const struct trial *trial, int side)
{
    return side == 0 ? 0 : trial->question->listeners / (side == 1 ? 2 : 1);
}

static int side_stands(struct trial *trial, int side)
{
    take_side(trial, side);
    for (int i = first_of(trial, side); i < first_of(trial, side + 1); i++)
        if (member_stand(trial, i) != 0)
            return -1;
    return 0;
}

static struct outcome side_again(struct trial *trial, int side)
{
    struct outcome outcome = { NO_CALL, 0 };
    take_side(trial, side);
    for (int i = first_of(trial, side); i < first_of(trial, side + 1); i++) {
        outcome = member_bind(trial, i, trial->option, 0);
        if (outcome.call == NO_CALL && !trial->question->udp)
            outcome = member_do(trial, i, LISTEN);
        if (outcome.call != NO_CALL)
            break;
    }
    return outcome;
}

/* The same members in the opposite order, at another port, where nothing is left of the first
 * order's connections. */
static void cross(struct trial *trial, int first)
{
    for (int i = 0; i < trial->question->listeners; i++)
        member_do(trial, i, CLOSE_LISTENER);
    trial->family = trial->question->family;
    trial->wildcard = trial->question->wildcard != SPECIFIC;
    trial->device = 0;
    reserve_port(trial);
    struct outcome outcome = side_again(trial, first);
    if (outcome.call == NO_CALL)
        outcome = side_again(trial, !first);
    emit_attempt("crossed", outcome);
    if (outcome.call == NO_CALL)
        flows_serve_new(trial, "crossed", trial->question->flows);
}

/* With `bind=mixed` the port is reserved at the wildcard: if it is free there, it is free at every
 * address. */
void precedence(struct trial *trial)
{
    int count = trial->question->flows, first = trial->question->position == BOUND_LAST;
    need_sense(trial);
    reserve_port(trial);
    need_descriptors(trial, count);
    members_fork(trial, trial->question->listeners);
    if (side_stands(trial, first) != 0 || side_stands(trial, !first) != 0)
        return;
    flows_serve_new(trial, "all", count);
    if (trial->question->position == BOTH_ORDERS)
        cross(trial, !first);
}
