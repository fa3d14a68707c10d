/* Questions from standard input, one a line. */
#ifndef BATCH_H
#define BATCH_H

#include "platform.h"

/* Asks them all, and returns the exit status. */
int ask_batch(int jobs);

#endif
