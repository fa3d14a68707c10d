/* Questions as processes: started, listened to, and ended. */
#ifndef JOBS_H
#define JOBS_H

#include "platform.h"
#include "question.h"
#include "tunable_setting.h"

#include <stddef.h>
#include <stdint.h>

enum { MAX_JOBS = 64, MAX_SLOTS = MAX_JOBS + FULL / LEAST };

struct scenario;

/* A question that runs; `output` is where its lines come from, -1 after its end of file. */
struct job {
    pid_t pid;
    int output, reaped, status, load;
    int64_t began, ended; /* clock_ms() */
    char id[72];
    char *said;
    size_t length, room;
};

/* At most `limit` questions without a load run at once, and beside them those whose loads fit one
 * CPU. */
struct jobs {
    struct job *slots;
    int limit, slot_count, running, waiting, load;
    int streaming;   /* lines go out as they come, not once their question has ended */
    int lifeline[2]; /* closes when this process ends, however it ends */
    struct setting setting;
};

void jobs_open(struct jobs *, int limit, int slots);

/* Whether a question may start now. */
int jobs_fit(const struct jobs *, const struct question *);
void jobs_start(struct jobs *, const struct scenario *, struct question *);

/* Waits for lines of the questions, for their ends, and for `input` (-1: none); 1 if that can be
 * read.  Ends everything if nobody reads standard output any more. */
int jobs_wait(struct jobs *, int input);

/* Says the `exit` line of a question that was not started. */
void jobs_refuse(struct jobs *, const char *id, int status);

/* Puts back what the questions had set; 0, or the exit status. */
int jobs_close(struct jobs *);

#endif
