/* Tunables of the kernel: files below /proc/sys on Linux, sysctl(3) elsewhere. */
#ifndef PLATFORM_TUNABLE_H
#define PLATFORM_TUNABLE_H

#include "platform.h"

#include <stddef.h>

enum { TUNABLE = 128 }; /* room for a tunable's name, or for its value as text */

/* Reads a tunable into `text` (integers in decimal); 0, or -1 if there is none of that name. */
int platform_tunable(const char *name, char *text, size_t size);

/* Gives a tunable another value, an integer in decimal; 0, or the errno. */
int platform_tunable_set(const char *name, const char *text);

/* Takes the lock that allows this run to set the tunable: a descriptor, which children inherit, or
 * -1 while another run has it. */
int platform_tunable_lock(const char *name);

#endif
