/* A stream of new flows, and a member that fails in its midst. */
#include "agent.h"

#include <stddef.h>

/* ms that a member takes for each, one after the other as a blocking server does, and flows under
 * way at once: every queue is then filled, on an emulated CPU too, and a failure meets one. */
enum { SERVICE = 5, CROWD = 96 };

/* Half of the flows have begun, and those that are answered say whom the stream reaches. */
static void fail_in_the_midst(struct trial *trial, struct phase *phase)
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
                           .window = CROWD, .watch = fail_in_the_midst };
    phase_run(trial, &phase);
    flows_end(phase.flows, count);
}
