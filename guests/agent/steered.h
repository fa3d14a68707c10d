/* A member of a steered group, inside its own process: it attaches and detaches the program. */
#ifndef STEERED_H
#define STEERED_H

#include "platform.h"
#include "command.h"
#include "outcome.h"

struct worker;

struct outcome steered(struct worker *, enum operation);

#endif
