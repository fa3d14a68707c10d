/* Arrays of flows, and the phases that most scenarios run with them. */
#ifndef FLOWS_H
#define FLOWS_H

#include "platform.h"

struct flow;
struct trial;

struct flow *flows_new(struct trial *, int count);
void flows_end(struct trial *, struct flow *, int count);

/* Each sends a request and waits for the reply; then its connection is closed. */
void flows_serve(struct trial *, const char *name, struct flow *, int count);

/* The same with flows that nothing else needs. */
void flows_serve_new(struct trial *, const char *name, int count);

/* As flows_serve(), but TCP connections stay open, to be used again by flows_echo(). */
void flows_hold(struct trial *, const char *name, struct flow *, int count);
void flows_echo(struct trial *, const char *name, struct flow *, int count);

/* Handshakes, which no member accepts; phase `fates`: what became of them. */
void flows_queue(struct trial *, const char *name, struct flow *, int count);
void flows_settle(struct trial *, struct flow *, int count);

/* Returns once the kernel has answered one more handshake.  On a slow guest the last ACKs of others
 * wait for longer than their clients do; before they have arrived, nothing is queued. */
void flows_arrive(struct trial *);

/* Between the two: what is answered is over, the rest stays once no answer has come for `quiet` ms. */
void flows_wait(struct trial *, const char *name, struct flow *, int count, int quiet);

#endif
