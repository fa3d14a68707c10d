/* A group of members that all bind and listen, and the flows for it. */
#include "group.h"

#include "flows.h"
#include "limits.h"
#include "members.h"
#include "ports.h"
#include "trial.h"

#include <stddef.h>

struct flow *group_stands(struct trial *trial, int spare)
{
    int count = trial->question->listeners;
    reserve_port(trial);
    need_descriptors(trial, trial->question->flows);
    members_fork(trial, count + spare);
    if (members_stand(trial, count) != 0)
        return NULL;
    return flows_new(trial, trial->question->flows);
}

struct outcome group_stands_again(struct trial *trial, int spare)
{
    int count = trial->question->listeners;
    struct outcome outcome = { .call = NO_CALL };
    members_fork(trial, count + spare);
    for (int i = 0; i < count && outcome.call == NO_CALL; i++)
        outcome = member_stand_again(trial, i);
    return outcome;
}
