/* The loopback interface, which is down in a fresh network namespace. */
#ifndef LOOPBACK_H
#define LOOPBACK_H

#include "platform.h"

struct trial;

void raise_loopback(struct trial *);

#endif
