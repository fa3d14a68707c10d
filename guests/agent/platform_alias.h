/* Another address of the loopback interface, beside those that it has. */
#ifndef PLATFORM_ALIAS_H
#define PLATFORM_ALIAS_H

#include "platform.h"
#include "addresses.h"

/* 0, or the errno.  Both are async-signal-safe. */
int platform_alias_add(const struct address *);
int platform_alias_remove(const struct address *);

#endif
