/* A question that cannot be asked here ends with an `unsupported` line and exit status 77. */
#ifndef UNSUPPORTED_H
#define UNSUPPORTED_H

#include "platform.h"

struct trial;

void unsupported(struct trial *, const char *format, ...);

/* This guest has too little of something; asking again would not help. */
void short_of(struct trial *, const char *format, ...);

#endif
