/* One connection of a client to a server of a plan: it asks, and hears the answer. */
#ifndef CALLER_H
#define CALLER_H

#include "platform.h"
#include "dialogue.h"

#include <stddef.h>

struct flow;
struct trial;

struct caller {
    const struct dialogue *dialogue;
    int kept; /* the connection is used again */
    size_t sent, heard;
    char bytes[ANSWER];
};

/* Connects from a port that nobody else has.  The flow may get its fate at once. */
void caller_begin(struct trial *, struct caller *, struct flow *);

/* Asks again on a connection that has answered. */
void caller_again(struct caller *, struct flow *);

/* What poll() is to wait for. */
short caller_events(const struct caller *, const struct flow *);

/* Goes on as far as it can; a flow that has its fate is left alone. */
void caller_turn(struct caller *, struct flow *);

/* The deadline has come. */
void caller_late(const struct caller *, struct flow *);

/* A TCP connection ends with a RST, so that its port can be used again. */
void caller_end(struct flow *);

#endif
