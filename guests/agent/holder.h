/* What keeps a member's listener open when the member itself does not. */
#ifndef HOLDER_H
#define HOLDER_H

#include "platform.h"
#include "outcome.h"

struct worker;

/* In the member: a child of it, or the kernel by io_uring, holds the listener from now on.  The
 * child lets it go when its line to the question's process (`leash`) is shut down, and says so. */
struct outcome holder_begin(struct worker *);

#endif
