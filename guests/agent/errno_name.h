/* errno by name: the numbers differ between kernels, the names do not. */
#ifndef ERRNO_NAME_H
#define ERRNO_NAME_H

#include "platform.h"

/* Valid until the next call; an unknown number becomes `E<number>`. */
const char *errno_name(int error);

#endif
