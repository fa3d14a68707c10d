/* A stream of new connections, each of which asks a server of a plan once. */
#ifndef STREAM_H
#define STREAM_H

#include "platform.h"
#include "question.h"

#include <poll.h>
#include <stdint.h>

enum {
    UNDER_WAY = 2000,              /* flows without a fate, at most */
    STREAM_EXTRAS = MAX_KEPT + 1   /* descriptors that `before` may wait for, too */
};

struct caller;
struct dialogue;
struct flow;
struct trial;

struct stream {
    const struct dialogue *dialogue;
    struct flow *flows;
    int count, started, settled;   /* all flows before `settled` have their fate */
    int reserve;                   /* there is room for so many more, if count grows meanwhile */
    int rate;                      /* flows that begin in a second, whatever became of others; */
    int window;                    /* or as many at a time, and 0 for the rate */
    int64_t until;                 /* the last one begins before this time; 0: all begin */
    int64_t began, slipped;        /* slipped: ms in which the agent itself was held up */
    int hold;                      /* set by `before`: it goes on, though all flows are over */
    int extras;
    struct pollfd extra[STREAM_EXTRAS];
    void *watcher;
    void (*before)(struct trial *, struct stream *); /* called on every turn, to fill `extra` */
    void (*after)(struct trial *, struct stream *);  /* and when poll() has looked at it */
    /* Of the flows under way, dense: who waits for what, and which caller is whose. */
    struct pollfd *polls;
    int *places, *owners;
    struct caller *callers;
    int under_way;
};

/* Runs all of it.  The flows are the caller's. */
void stream_run(struct trial *, struct stream *);

#endif
