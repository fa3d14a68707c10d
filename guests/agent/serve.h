/* A server of our own, to compare others with: docs/wire.md, "The agent's own server". */
#ifndef SERVE_H
#define SERVE_H

#include "platform.h"

/* Serves until it is told to stop; the exit status.  It takes KEY=VALUE words. */
int serve(int count, char **words);

#endif
