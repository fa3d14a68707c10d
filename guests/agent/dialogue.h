/* What a client says to a server of a plan, and what it makes of the answer. */
#ifndef DIALOGUE_H
#define DIALOGUE_H

#include "platform.h"

#include <stddef.h>

struct plan;

enum { ANSWER = 4096 }; /* bytes of one answer that are looked at, at most */

/* What dialogue_hear() says besides a generation. */
enum { HEARD_PART = -1, HEARD_WRONG = -2 };

struct dialogue {
    const struct plan *plan;
    char request[ANSWER], kept[ANSWER]; /* of a connection that ends, or that is used again */
    size_t size, kept_size;
    int datagrams;
};

void dialogue_open(struct dialogue *, const struct plan *);

/* The generation that answered with these bytes, HEARD_PART, or HEARD_WRONG.  `ended`: no more
 * will come.  `kept`: the answer must be there to its last byte. */
int dialogue_hear(const struct dialogue *, const char *bytes, size_t count, int ended, int kept);

#endif
