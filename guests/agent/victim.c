/* Which member fails: the one asked for, unless no flow reaches it (docs/traps.md, trap 19). */
#include "victim.h"

#include "flow.h"
#include "trial.h"

int busiest(const struct trial *trial, const struct flow *flows, int count, int asked)
{
    int served[MAX_MEMBERS] = { 0 };
    int most = asked;
    for (int i = 0; i < count; i++)
        if (flows[i].fate == SERVED)
            served[flows[i].answered[0]]++;
    if (served[asked] > 0)
        return asked;
    for (int i = 0; i < trial->member_count; i++)
        if (served[i] > served[most])
            most = i;
    return most;
}

static int index_of(int place, int count)
{
    return place == FIRST ? 0 : place == LAST ? count - 1 : count / 2;
}

int victim(const struct trial *trial, const struct flow *flows, int count)
{
    int asked = index_of(trial->question->member, trial->question->listeners);
    return busiest(trial, flows, count, asked);
}
