/* `failure-arrivals`: a member fails in the middle of a stream of new flows. */
#include "scenarios.h"

#include "flows.h"
#include "limits.h"
#include "members.h"
#include "phase.h"
#include "ports.h"
#include "trial.h"
#include "victim.h"

#include <stddef.h>

/* SERVICE: ms that a member takes for each flow, one after the other, as a blocking server does.
 * UNDER_WAY: flows at once.  With both, every accept queue is filled, on an emulated CPU too, and
 * the member fails with connections in its queue. */
enum { SERVICE = 5, UNDER_WAY = 96 };

/* Half of the flows must have begun; their fates show which members the stream reaches. */
static void fail_half_way(struct trial *trial, struct phase *phase)
{
    if (phase->started < phase->count / 2)
        return;
    member_fail(trial, victim(trial, phase->flows, phase->started), trial->question->failure);
    phase->watch = NULL;
}

void failure_arrivals(struct trial *trial)
{
    int count = trial->question->flows, listeners = trial->question->listeners;
    trial->service = SERVICE;
    reserve_port(trial);
    need_descriptors(trial, count);
    members_fork(trial, listeners);
    if (members_stand(trial, listeners) != 0)
        return;
    struct phase phase = { .name = "stream", .flows = flows_new(trial, count), .count = count,
                           .window = UNDER_WAY, .watch = fail_half_way };
    phase_run(trial, &phase);
    flows_end(trial, phase.flows, count);
}
