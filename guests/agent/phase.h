/* A phase: many flows at once, each until it has its fate or its deadline. */
#ifndef PHASE_H
#define PHASE_H

#include "platform.h"
#include "flow.h"

#include <stdint.h>

struct trial;

struct phase {
    const char *name; /* of its `flows` line; null: it says none */
    struct flow *flows;
    int count;
    int started;   /* flows that have begun; those before `settled` have their fate */
    int settled;
    int keep;      /* leave served connections open */
    int handshake; /* a flow is `open`, and done, once its handshake is */
    int silent;    /* with `handshake`, send nothing until the flow is resumed */
    int fast_open; /* with `handshake`, send the request with the SYN */
    int half_open; /* hold the final ACK back; a flow is `open` after this many SYN-ACKs */
    int resume;    /* go on with the connections as they are; with `half_open`, hold on */
    int echo;      /* send again on served connections, and expect the reply again */
    int deadline;  /* ms; 0: the question's */
    int window;    /* flows that may be unanswered at once; 0: the usual */
    int young;     /* ms for which an unanswered flow holds its place there; 0: the usual */
    int64_t busy;  /* since when the next flow waits for its port, 0: it does not */
    int hold;      /* set by `watch`: more flows may still be added */
    int pause;     /* set by `watch`: none begins for now */
    int watched;   /* a descriptor to wake up for, 0: none */
    int heard;     /* it has something to read */
    void (*watch)(struct trial *, struct phase *); /* called on every turn, and at the end */
    void (*begun)(struct trial *, struct phase *); /* called as soon as a flow has begun */
};

/* Runs the phase, and says how its flows ended. */
void phase_run(struct trial *, struct phase *);

/* Called by a client once a turn, with the events of `watched`, before it looks at the flows. */
void phase_turned(struct trial *, struct phase *, int events);

/* How many flows are unanswered, and still young. */
int phase_waits(const struct trial *, const struct phase *);

#endif
