/* A group of members that all bind and listen, and the flows for it. */
#ifndef GROUP_H
#define GROUP_H

#include "platform.h"
#include "outcome.h"

struct flow;
struct trial;

/* The question's members stand, in order, `spare` more processes wait; returns the question's
 * flows, or null if the kernel refuses a member. */
struct flow *group_stands(struct trial *, int spare);

/* The same members once more on the same port, in processes of their own; the first call that the
 * kernel refused, if it did. */
struct outcome group_stands_again(struct trial *, int spare);

#endif
