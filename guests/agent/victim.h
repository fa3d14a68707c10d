/* Which member fails: the one asked for, unless no flow reaches it. */
#ifndef VICTIM_H
#define VICTIM_H

#include "platform.h"

struct flow;
struct trial;

/* The member at this index, unless it served none of these flows: then the one that served most. */
int busiest(const struct trial *, const struct flow *, int count, int asked);

/* busiest() for the question's `member`. */
int victim(const struct trial *, const struct flow *, int count);

#endif
