/* The processes of a server, and the lines for the shell that start them. */
#ifndef SERVER_PROCESSES_H
#define SERVER_PROCESSES_H

#include "platform.h"
#include "plan_steps.h"

struct keeper;

/* Runs a line, with its placeholders filled in; the place of its process among the instances, or -1
 * and errno. */
int server_shell(struct keeper *, const char *line);

/* Reaps what has ended. */
void server_reap(struct keeper *);

/* Whether nothing that the keeper could wait for lives any more. */
int server_is_empty(void);

/* The process that a step means; 0 and errno if there is none. */
pid_t server_who(struct keeper *, const struct plan_step *);

/* The process that the plan's pid file names; 0 and errno if it names none. */
pid_t server_in_pid_file(const struct keeper *);

/* Remembers the children of `main`, and says whether one of those that it remembers lives. */
void server_remember_old(struct keeper *);
int server_old_lives(const struct keeper *);

/* Whether it has not ended yet. */
int server_lives(pid_t);

/* How many processes of the server live. */
int server_count(const struct keeper *);

/* Where programs are looked for: PATH, and the usual places. */
const char *server_path(void);

/* Kills them all. */
void server_kill(struct keeper *);

#endif
