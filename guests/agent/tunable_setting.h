/* A tunable of the kernel at another value while a batch asks, and its former value afterwards. */
#ifndef TUNABLE_SETTING_H
#define TUNABLE_SETTING_H

#include "platform.h"
#include "platform_tunable.h"

struct question;

/* `name` is empty if no tunable is changed. */
struct setting {
    char name[TUNABLE], value[12], former[TUNABLE];
    char obstacle[TUNABLE + 64]; /* why it could not be set; empty if it could */
    int begun, lock;
    pid_t keeper;
};

/* Sets what the first question of a batch asks for; -1 if this one asks for anything else.  The
 * lifeline is a pipe whose writing end this process keeps as long as it lives. */
int setting_begin(struct setting *, const int lifeline[2], struct question *);

/* In a child of the batch: a lock is held as long as any process has it open. */
void setting_leave(const struct setting *);

/* Puts the former value back, once no question runs any more; 0, or the exit status. */
int setting_end(struct setting *, const int lifeline[2]);

#endif
