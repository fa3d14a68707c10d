/* One process that holds hundreds of sockets of one group. */
#ifndef GROUP_PROCESS_H
#define GROUP_PROCESS_H

#include "platform.h"
#include "outcome.h"

struct trial;

void group_process_fork(struct trial *);

/* How many sockets stand, and what became of the last one that was tried. */
int group_process_hear(struct trial *, struct outcome *last);

#endif
