/* Clients with an address each, and the loopback interface's aliases that this may take. */
#ifndef ALIASES_H
#define ALIASES_H

#include "platform.h"

struct flow;
struct trial;

/* Draws a port for each flow, which makes its address while trial->spread is set, and adds the
 * addresses that a socket cannot be bound to yet.  Returns 0, or the errno that says why a client
 * cannot have one; then none is left behind.  Once a question, after its members were forked. */
int aliases_begin(struct trial *, struct flow *, int count);

/* Takes away what was added; without that, clear_away() does. */
void aliases_end(void);

#endif
