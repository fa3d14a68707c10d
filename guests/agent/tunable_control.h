/* Whether a tunable's value means anything to this kernel, and not only reads back. */
#ifndef TUNABLE_CONTROL_H
#define TUNABLE_CONTROL_H

#include "platform.h"

struct trial;

/* Ends the question if the value that it sets does nothing here. */
void need_meaning(struct trial *);

#endif
