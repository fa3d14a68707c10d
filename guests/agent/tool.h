/* Tools of the base system, such as ifconfig(8). */
#ifndef TOOL_H
#define TOOL_H

#include "platform.h"

/* Runs a tool with these words, of which the first is its name; 0, or an errno: ENOENT if it is not
 * there, EINVAL if it failed.  What it prints does not mix with the answers. */
int tool_run(const char *path, const char *const *words);

#endif
