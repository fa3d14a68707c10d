/* Time, in milliseconds on a clock that nobody sets. */
#ifndef CLOCK_H
#define CLOCK_H

#include "platform.h"

#include <stdint.h>

int64_t clock_ms(void);

/* Used for service time and between counted retries; it synchronises nothing. */
void pause_ms(int ms);

#endif
