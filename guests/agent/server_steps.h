/* What a keeper does to its server: starts it, takes the steps of a plan, stops it. */
#ifndef SERVER_STEPS_H
#define SERVER_STEPS_H

#include "platform.h"

struct keeper;
struct plan_steps;
struct server_news;

/* Writes the files, starts the first instance, and waits for an answer. */
void server_start(struct keeper *, struct server_news *);

/* Takes the steps in order; the first that fails is the last. */
void server_take_steps(struct keeper *, const struct plan_steps *, struct server_news *);

/* Takes the steps that stop it, and kills what is left. */
void server_stop(struct keeper *, struct server_news *);

/* What the plan checks for and is not there; null if all is. */
const char *server_lacks(struct keeper *);

#endif
