/* A group of members that all bind and listen, and the flows for it. */
#ifndef GROUP_H
#define GROUP_H

#include "platform.h"

struct flow;
struct trial;

/* The question's members stand, in order, `spare` more processes wait; returns the question's
 * flows, or null if the kernel refuses a member. */
struct flow *group_stands(struct trial *, int spare);

#endif
