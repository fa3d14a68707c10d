/* Whether an IPv4 client reaches a socket bound to `::` at all. */
#ifndef DUAL_STACK_H
#define DUAL_STACK_H

#include "platform.h"

struct trial;

/* Ends a question about IPv4-mapped addresses where this system's IPv6 sockets take no IPv4. */
void need_dual_stack(struct trial *);

#endif
