/* How a member retires and comes back: what it does with its listener, inside its own process. */
#ifndef RETIRE_H
#define RETIRE_H

#include "platform.h"
#include "command.h"

struct worker;

struct outcome retire(struct worker *, enum operation);

#endif
