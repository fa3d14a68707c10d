/* Who asks: the process that starts a question as a process of its own, and ends it. */
#ifndef FRONT_H
#define FRONT_H

#include "agent.h"

struct scenario;

enum { LINE = 4096, WORDS = 64 };

/* A tunable's value while the front asks; `name` is empty if none is changed. */
struct setting {
    char name[TUNABLE], value[12], former[TUNABLE];
    char obstacle[TUNABLE + 64]; /* why it could not be set, if so */
    int begun, lock;
    pid_t keeper;
};

/* A question that was read and has not begun; `words` and what it holds are in `line`. */
struct pending {
    struct pending *next;
    const struct scenario *scenario;
    struct question question;
    char *words[WORDS];
    char line[LINE + 1];
};

/* A question that runs; `output` is where its lines come from, -1 after its end of file. */
struct slot {
    pid_t pid;
    int output, reaped, status, load;
    char id[72];
    char *said;
    size_t length, room;
};

/* `jobs` questions without a load run at once, and beside them those whose loads fit one CPU. */
struct front {
    struct slot *slots;
    struct pending *first, **last;
    int jobs, slot_count, running, waiting, load, held, streaming;
    int lifeline[2]; /* closes when this process ends, however it ends */
    char line[LINE];
    size_t length;
    int ended, skipping;
    struct setting setting;
};

void front_open(struct front *, int jobs, int slots);
int front_fits(const struct front *, const struct question *);
void front_start(struct front *, const struct scenario *, struct question *);
void front_wait(struct front *, int hungry);
void front_refuse(struct front *, const char *id, int status);

/* tunable_setting.c */
int setting_begin(struct front *, struct question *);
void setting_forget(struct front *);
int setting_end(struct front *);

#endif
