/* `failure-handshake`: a member fails between the SYN-ACK and the final ACK; what becomes of the
 * connection?  Between two sockets a handshake completes by itself, so the clients are hosts behind
 * a tun device, which can hold the ACK back (docs/traps.md, trap 11). */
#include "scenarios.h"

#include "flow.h"
#include "flows.h"
#include "group.h"
#include "members.h"
#include "phase.h"
#include "trial.h"
#include "victim.h"

#include <stddef.h>

static void hold_back(struct trial *trial, struct flow *flows, int count)
{
    struct phase phase = { .name = "held", .flows = flows, .count = count, .handshake = 1 };
    phase.half_open = trial->question->acknowledgement == AFTER_REPEAT ? 2 : 1;
    phase_run(trial, &phase);
}

/* After listen(fd, 0) an accept queue holds one or two connections.  More ACKs at a time would
 * overflow it, and the loss would look like the kernel's choice. */
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
    flows_end(trial, flows, count);
}
