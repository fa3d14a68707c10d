/* Time, in milliseconds on a clock that nobody sets. */
#include "clock.h"

#include <time.h>

int64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Not usleep(): POSIX lets it fail from one second on, and NetBSD's does. */
void pause_ms(int ms)
{
    struct timespec rest = { ms / 1000, (long)(ms % 1000) * 1000000L };
    nanosleep(&rest, NULL);
}
