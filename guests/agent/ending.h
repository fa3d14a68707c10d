/* How this process ends: by broken(), by its alarm, or by itself. */
#ifndef ENDING_H
#define ENDING_H

#include "platform.h"

enum { EXIT_USAGE = 64, EXIT_UNSUPPORTED = 77, EXIT_BROKEN = 99 };

/* Registers what to clear away when this process ends early; the last registered goes first.
 * `clear` must be async-signal-safe, because the alarm calls it, too. */
void at_end(void (*clear)(void *), void *what);

/* In a child: what has been registered is its parent's. */
void forget_clearing(void);

/* Calls what at_end() has registered. */
void clear_away(void);

/* Says on standard error why the agent itself has failed, clears away, and exits with 99. */
void broken(const char *format, ...);

/* Ends this process with SIGALRM after this many seconds, and clears away before that. */
void alarm_start(int seconds);

#endif
