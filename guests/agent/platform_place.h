/* A place of its own for a server: what it starts can neither outlive it nor be missed. */
#ifndef PLATFORM_PLACE_H
#define PLATFORM_PLACE_H

#include "platform.h"

/* Where the agent's program is in a system of its own. */
extern const char *const platform_place_agent;

/* As fork(), but the child is the first process of a new PID namespace, and has mounts of its own.
 * -1 and errno where that cannot be had. */
pid_t platform_place_fork(void);

/* In that child: mounts /proc, and a file system in memory on the folder.  With a root, it enters
 * that system, which stays as it is: what servers write to is in memory, and so is the place of the
 * agent's program.  0, or the errno; `what` says what was tried. */
int platform_place_furnish(const char *root, const char *folder, const char *program,
                           const char **what);

/* In that child: the folder is empty again. */
void platform_place_leave(const char *folder);

/* Makes this process the parent of all orphans that its children leave; 0 where that cannot be
 * had. */
int platform_place_adopt(void);

#endif
