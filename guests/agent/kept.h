/* Connections to a server of a plan that are used again and again, while others come and go. */
#ifndef KEPT_H
#define KEPT_H

#include "platform.h"
#include "question.h"

#include <poll.h>
#include <stdint.h>

struct caller;
struct dialogue;
struct flow;
struct trial;

struct kept {
    int count;                /* connections at a time */
    struct flow *now;         /* those that stand */
    struct caller *callers;
    int64_t next[MAX_KEPT];   /* when it asks again, or is opened again */
    int waits[MAX_KEPT];      /* an answer is outstanding */
    struct flow *ended;       /* those that are over, and those that live to the end */
    int ended_count, room, closed; /* closed: in order, while none was outstanding */
    int finishing;            /* nothing more is asked */
};

void kept_open(struct trial *, struct kept *, const struct dialogue *);

/* Opens and asks what is due, and fills in `count` descriptors to wait for. */
void kept_begin_some(struct trial *, struct kept *, struct pollfd *);

/* How many answers are outstanding. */
int kept_waiting(const struct kept *);
void kept_turn(struct kept *, const struct pollfd *);

/* Says the phase `kept`; returns how many connections were lost. */
int kept_close(struct trial *, struct kept *);

#endif
