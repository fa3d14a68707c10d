/* TCP Fast Open (RFC 7413): whether it can be asked about here, and whether clients really use it. */
#ifndef FAST_OPEN_H
#define FAST_OPEN_H

#include "platform.h"

struct trial;

/* Ends the question if it is about Fast Open, and a connection over the loopback interface shows
 * that this system has none. */
void need_fast_open(struct trial *);

/* This client's request goes with its SYN: connect() sends nothing, the first send() both. */
void fast_open_begin(int fd);

/* A client's connection is established: did the listener take the data of its SYN?  Those
 * where it did not are counted. */
void fast_open_check(struct trial *, int fd);

#endif
