/* The loopback interface, which is down in a fresh network namespace. */
#ifndef LOOPBACK_H
#define LOOPBACK_H

#include "platform.h"

struct trial;

/* Raises it; 0, or the errno that says why not. */
int loopback_up(void);

void raise_loopback(struct trial *);

#endif
