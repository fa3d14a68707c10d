/* Who asks: the process that starts a question as a process of its own, and ends it. */
#ifndef FRONT_H
#define FRONT_H

#include "agent.h"

enum { LINE = 4096 };

/* A question that runs; `output` is where its lines come from, -1 after its end of file. */
struct slot {
    pid_t pid;
    int output, reaped, status;
    char id[72];
    char *said;
    size_t length, room;
};

struct front {
    struct slot *slots;
    int jobs, running, streaming;
    int lifeline[2]; /* closes when this process ends, however it ends */
    char line[LINE];
    size_t length;
    int ended, skipping;
};

void front_open(struct front *, int jobs);
void front_start(struct front *, const char *scenario, struct question *);
void front_wait(struct front *, int hungry);
void front_refuse(struct front *, const char *id, int status);

#endif
