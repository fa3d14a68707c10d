/* The members of one port are two sides, which differ in something; which side is served? */
#ifndef SIDES_H
#define SIDES_H

#include "platform.h"

struct trial;

/* The members of a side, 0 or 1, are those from its first to the first of the next, or to the last. */
int first_of_side(const struct trial *, int side);

/* The members, which are forked already, stand, those of side `first` first; flows `all`.  With
 * `again` the same in the opposite order: attempt and flows `crossed`.  -1 if a socket is refused. */
int sides_ask(struct trial *, int first, int again);

#endif
