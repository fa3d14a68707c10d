/* The guest's limits: open files, and the length of an accept queue. */
#ifndef LIMITS_H
#define LIMITS_H

#include "platform.h"

struct trial;

/* Raises the limit of open files for this many flows; ends the question if that is refused. */
void need_descriptors(struct trial *, int count);

/* What listen() makes of a backlog here. */
int backlog_within_limits(int backlog);

#endif
