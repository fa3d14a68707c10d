/* A member of a steered group, inside its own process: it attaches and detaches the program. */
#include "steered.h"

#include "platform_steer.h"
#include "trial.h"
#include "worker.h"

#include <errno.h>

struct outcome steered(struct worker *worker, enum operation operation)
{
    struct steering steering = worker->trial->steering;
    if (operation == STEER_WIDER)
        steering.range = worker->trial->question->listeners + 1;
    if (operation == TAKE_PLACE)
        errno = platform_steer_place(&steering, worker->listener, worker->index);
    else if (operation == UNSTEER)
        errno = platform_steer_detach(worker->listener);
    else
        errno = platform_steer_attach(&steering, worker->listener);
    return outcome_of(CALL_SETSOCKOPT, errno);
}
