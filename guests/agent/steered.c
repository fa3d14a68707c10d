/* A member of a steered group, inside its own process: it attaches and detaches the program. */
#include "steered.h"

#include "platform_steer.h"
#include "trial.h"
#include "worker.h"

#include <errno.h>

/* Members take their places, and the first one attaches the program.  With STEER_WIDER the others
 * keep the places that they have: a socket cannot be put into a map twice. */
struct outcome steered(struct worker *worker, enum operation operation)
{
    struct steering steering = worker->trial->steering;
    int first = worker->index == 0, newcomer = worker->index == worker->trial->question->listeners;
    int error = 0;
    if (operation == UNSTEER)
        error = platform_steer_detach(worker->listener);
    if (operation == STEER_WIDER)
        steering.range = worker->trial->question->listeners + 1;
    if (operation == STEER || newcomer)
        error = platform_steer_place(&steering, worker->listener, worker->index);
    if (error == 0 && first && operation != UNSTEER)
        error = platform_steer_attach(&steering, worker->listener);
    errno = error;
    return outcome_of(CALL_SETSOCKOPT, error);
}
