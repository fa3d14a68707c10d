/* One worker of the server of our own. */
#ifndef SERVE_WORKER_H
#define SERVE_WORKER_H

#include "platform.h"

/* What becomes of its listener when it retires: others have it, too; it is closed; or it is passed
 * to its successor. */
enum serve_how { SERVE_INHERIT, SERVE_REUSEPORT, SERVE_PASS };

struct serve_worker {
    enum serve_how how;
    int generation, listener;
    int slow; /* ms that it works on an answer, and does nothing else */
    int heir; /* the channel to its successor, with SERVE_PASS */
};

/* Serves until SIGTERM tells it to retire; does not return. */
void serve_work(struct serve_worker *);

#endif
