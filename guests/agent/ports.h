/* Ports: the one that the group shares, and those of the clients. */
#ifndef PORTS_H
#define PORTS_H

#include "platform.h"
#include "outcome.h"

struct trial;

/* A source port that this trial has not drawn yet; when few are left, it draws them again. */
int draw_port(struct trial *);

/* Draws a port for the group that no other socket has; ends the question if there is none. */
void reserve_port(struct trial *);

/* One try of reserve_port(): 0, or not 0 and the call that failed. */
int try_reserve(struct trial *, struct outcome *);

/* A client could not bind this port, in the last of some tries: ends the question. */
void no_port(struct trial *, int port, int tries, int error);

/* Ends the question if a call failed because this guest lacks the address family. */
void need_family(struct trial *, struct outcome);

#endif
