/* The steps of a plan: what is done to a server to restart it, or to stop it. */
#ifndef PLAN_STEPS_H
#define PLAN_STEPS_H

#include "platform.h"

enum { MAX_STEPS = 64 };

enum step_kind {
    STEP_WRITE, STEP_SET, STEP_RUN, STEP_START, STEP_SIGNAL, STEP_GONE, STEP_MAIN,
    STEP_NEW, STEP_ALL_NEW, STEP_OLD_GONE, STEP_SLEEP
};

/* Whom a step means; a `file` names the process itself. */
enum who { WHO_MAIN, WHO_SECOND, WHO_WORKER, WHO_FILE, WHO_KINDS };

struct plan_step {
    enum step_kind kind;
    enum who who;
    int number;       /* the signal, workers, or ms */
    const char *text; /* a line for the shell, or the path of a file */
    const char *said; /* as it is in the plan */
};

struct plan_steps {
    struct plan_step steps[MAX_STEPS];
    int count;
};

/* Adds the step that a line says; null, or what is wrong with it.  The step points into the line. */
const char *plan_step_add(struct plan_steps *, char *line);

#endif
