/* Tunables of the kernel, each said as a fact. */
#ifndef TUNABLE_FACTS_H
#define TUNABLE_FACTS_H

#include "platform.h"

/* Names, comma-separated; what follows a `=` is ignored. */
void emit_tunables(const char *names);

#endif
