/* A server that is restarted: what is known of it, and how fast its clients come. */
#ifndef RESTARTING_H
#define RESTARTING_H

#include "platform.h"
#include "dialogue.h"
#include "keeper.h"
#include "kept.h"
#include "plan.h"

#include <stdint.h>

enum { AT_LEAST = 2 }; /* restarts that all the flows last for */

struct restarting {
    struct plan plan;
    struct dialogue dialogue;
    struct kept kept;
    struct server_news news;
    int channel, rate;
    int flows;             /* that the stream has, if restarts take no longer than they should */
    int made, busy, over;  /* restarts that have begun; one goes on; no more will */
    int rehearsal;         /* ms that one without a load took */
    int uncovered;         /* one went on when all flows had begun */
    int64_t rested;        /* when the last one ended */
    int64_t slipped;       /* ms that the agent itself held the stream up */
};

/* Measures what the server can do, restarts it once, and chooses the rate of the stream. */
void restart_choose_rate(struct trial *, struct restarting *);

/* ms that a restart may take. */
int64_t restart_longest(const struct restarting *);

#endif
