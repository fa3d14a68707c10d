/* A member fails between a SYN-ACK and the final ACK: who has the connection then?  Only a far end
 * of our own can hold the ACK back (BEHAVIOURS.md, trap 11). */
#include "agent.h"

#include <stddef.h>

static void hold_back(struct trial *trial, struct flow *flows, int count)
{
    struct phase phase = { .name = "held", .flows = flows, .count = count, .handshake = 1 };
    phase.half_open = trial->question->acknowledgement == AFTER_REPEAT ? 2 : 1;
    phase_run(trial, &phase);
}

/* A queue that listen(fd, 0) has shortened holds one or two: no more ACKs at a time than that, or
 * our haste would read as the kernel's doing. */
static void complete(struct trial *trial, struct flow *flows, int count)
{
    struct phase phase = { .name = "fates", .flows = flows, .count = count, .resume = 1 };
    phase.window = trial->question->failure == RELISTEN_ZERO;
    phase_run(trial, &phase);
}

void failure_handshake(struct trial *trial)
{
    int count = trial->question->flows;
    struct flow *flows = group_stands(trial, 0);
    if (flows == NULL)
        return;
    flows_serve(trial, "home", flows, count);
    int fails = victim(trial, flows, count);
    hold_back(trial, flows, count);
    member_fail(trial, fails, trial->question->failure);
    complete(trial, flows, count);
    flows_end(flows, count);
}
