/* The process that keeps one server, and what it knows of it. */
#ifndef KEEPER_H
#define KEEPER_H

#include "platform.h"
#include "dialogue.h"
#include "outcome.h"
#include "plan_steps.h"

#include <stddef.h>
#include <stdint.h>

struct plan;
struct trial;

enum { SAID = 4000, FAILED_STEP = 200, TAIL = 2000, INSTANCES = 256, ANSWERED = 300, OLD = 256 };

enum server_order { SERVER_START, SERVER_RESTART, SERVER_STOP };

/* What the keeper answers to each order. */
struct server_news {
    struct outcome outcome;
    int left, port_kept;      /* after SERVER_STOP */
    int missing;              /* what the server needs: `step` says what */
    char answer[ANSWERED];    /* what it answered when it was to be ready, and was not */
    char step[FAILED_STEP];   /* that failed, and how */
    char said[SAID];          /* the end of what the server has said, if something failed */
};

/* A process that the keeper has started itself. */
struct instance {
    pid_t pid;
    int ended, status;
};

struct keeper {
    struct trial *trial;
    const struct plan *plan;
    struct dialogue dialogue;
    const char *folder;
    char program[1024];      /* of the agent; a system of its own has it at another place */
    int apart;               /* it is the first process of a namespace of its own */
    int adopts;              /* orphans of the server become its children */
    int channel, output, log; /* the question; the server's output, and where the server writes it */
    int port, generation, workers;
    struct instance instances[INSTANCES];
    int instance_count, newest; /* newest: a place among the instances, or -1 */
    pid_t main;
    pid_t remembered[WHO_KINDS];
    pid_t old[OLD];          /* the children of `main` when it was last sent a signal */
    int old_count;
    char tail[TAIL];         /* a ring */
    size_t tail_size;        /* bytes that ever came */
    char failed[FAILED_STEP];
};

/* Waits for a descriptor (-1: none) for so long, at most; 1 if it is ready.  Meanwhile the server's
 * output is read, so that it never waits for a reader, and its orphans are reaped.  May return
 * early.  Ends all if the question is gone. */
int keeper_wait(struct keeper *, int fd, short events, int ms);

/* Kills all that is left of the server, and ends this process. */
void keeper_end(struct keeper *);

#endif
