/* A keeper asks its own server, to know when it answers. */
#ifndef SERVER_PROBE_H
#define SERVER_PROBE_H

#include "platform.h"

#include <stddef.h>

struct flow;
struct keeper;

/* Asks once, on a new connection, and waits for so long; UNDECIDED if no answer came. */
void server_probe(struct keeper *, struct flow *, int ms);

/* How the last answer began, to be read by a person. */
void server_answered(char *into, size_t size);

#endif
