/* A question's flows, a few at a time: in each round a group stands anew, on the same port, and a
 * part of the flows goes through all phases.  What became of them is said once, in the end. */
#ifndef ROUNDS_H
#define ROUNDS_H

#include "platform.h"

struct flow;
struct happening;
struct trial;

struct rounds {
    struct flow *flows;         /* of this round */
    int first, count;           /* the index of its first flow, and how many it has */
    int number, again;          /* rounds before it; how many were played once more */
    int changed;                /* the member that fails or joins in every round; -1: not known yet */
    int total, spare;           /* flows of the question; processes that wait in each round */
    struct flow *kept;          /* `total` flows for each phase */
    struct happening *happened; /* one for each round */
};

/* Of flows of the question whose first group stands, in so many phases. */
struct rounds rounds_of(struct trial *, struct flow *, int phases, int spare);

/* Remembers what this phase has made of the round's flows. */
void rounds_keep(struct rounds *, int phase);

/* Remembers that it was done to the member that is `changed`, just now. */
void rounds_change(struct rounds *, const char *what, int error);

/* The longest that a flow waited from its start in one phase, where it was left open, to its start
 * in another, in this round; ms. */
int rounds_longest(const struct rounds *, int from, int to);

/* Ends the round and its group; 1 if the next stands, 0 if there is none, -1 if the kernel refused a
 * member, which is said.  `once_more`: if there were not too many already, the same flows come
 * again, and what was remembered of them is lost. */
int rounds_next(struct trial *, struct rounds *, int once_more);

void rounds_say_flows(const struct trial *, const struct rounds *, int phase, const char *name);
void rounds_say_changes(const struct trial *, const struct rounds *);
void rounds_end(struct rounds *);

#endif
