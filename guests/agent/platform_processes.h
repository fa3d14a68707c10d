/* The processes that this one can see. */
#ifndef PLATFORM_PROCESSES_H
#define PLATFORM_PROCESSES_H

#include "platform.h"

struct process_seen {
    pid_t pid, parent, group;
};

/* Fills in those that live, zombies not counted; their number, `most` at most. */
int platform_processes(struct process_seen *, int most);

#endif
