/* The process that keeps one server: it starts it, restarts it, and ends all that it has started. */
#ifndef SERVER_KEEPER_H
#define SERVER_KEEPER_H

#include "platform.h"

struct keeper;

/* Runs until the question is gone; does not return. */
void server_keep(struct keeper *);

#endif
