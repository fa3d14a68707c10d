/* The members of one port are two sides, which differ in something; which side is served? */
#include "sides.h"

#include "emit.h"
#include "flows.h"
#include "members.h"
#include "outcome.h"
#include "ports.h"
#include "trial.h"

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

int first_of_side(const struct trial *trial, int side)
{
    return side == 0 ? 0 : trial->question->listeners / (side == 1 ? 2 : 1);
}

static int side_stands(struct trial *trial, int side)
{
    take_side(trial, side);
    for (int i = first_of_side(trial, side); i < first_of_side(trial, side + 1); i++)
        if (member_stand(trial, i) != 0)
            return -1;
    return 0;
}

static struct outcome side_again(struct trial *trial, int side)
{
    struct outcome outcome = { NO_CALL, 0 };
    take_side(trial, side);
    for (int i = first_of_side(trial, side); i < first_of_side(trial, side + 1); i++) {
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
static int cross(struct trial *trial, int first)
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
    if (outcome.call != NO_CALL)
        return -1;
    flows_serve_new(trial, "crossed", trial->question->flows);
    return 0;
}

int sides_ask(struct trial *trial, int first, int again)
{
    if (side_stands(trial, first) != 0 || side_stands(trial, !first) != 0)
        return -1;
    flows_serve_new(trial, "all", trial->question->flows);
    return again ? cross(trial, !first) : 0;
}
