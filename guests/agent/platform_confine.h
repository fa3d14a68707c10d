/* A process puts itself apart from the others of its system, as containers do. */
#ifndef PLATFORM_CONFINE_H
#define PLATFORM_CONFINE_H

#include "platform.h"

/* From now on this process, and every socket that it opens, is in a network namespace of its own,
 * in the jail of this name, or in FIB 1 (`how` is one of `enum confinement`).  The jail is made if
 * there is none yet, and it ends with its last process.  0, or the errno that says why not.
 * ENOSYS: the agent knows no such thing on this system. */
int platform_confine(int how, const char *name);

#endif
