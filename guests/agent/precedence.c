/* `precedence`: the members of one port are two sides, which differ in their bind address, their
 * option or their family.  Which side serves a client that matches both? */
#include "scenarios.h"

#include "flows.h"
#include "limits.h"
#include "members.h"
#include "ports.h"
#include "sockets.h"
#include "trial.h"
#include "unsupported.h"

#include <stddef.h>

/* Sets what the members of this side have of their own. */
static void take_side(struct trial *trial, int side)
{
    const struct question *question = trial->question;
    trial->wildcard = question->wildcard == MIXED ? side : question->wildcard;
    if (question->pair == BY_OPTION)
        trial->option = side == 0 ? REUSEPORT : REUSEPORT_LB;
    if (question->pair == BY_FAMILY)
        trial->family = side == 0 ? IPV4 : MAPPED;
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
}

static int side_stands(struct trial *trial, int side)
{
    int count = trial->question->listeners, half = count / 2;
    take_side(trial, side);
    for (int i = side == 0 ? 0 : half; i < (side == 0 ? half : count); i++)
        if (member_stand(trial, i) != 0)
            return -1;
    return 0;
}

/* With `bind=mixed` the port is reserved at the wildcard: if it is free there, it is free at every
 * address. */
void precedence(struct trial *trial)
{
    int count = trial->question->flows, first = trial->question->position == FIRST ? 0 : 1;
    need_sense(trial);
    reserve_port(trial);
    need_descriptors(trial, count);
    members_fork(trial, trial->question->listeners);
    if (side_stands(trial, first) != 0 || side_stands(trial, !first) != 0)
        return;
    flows_serve_new(trial, "all", count);
}
