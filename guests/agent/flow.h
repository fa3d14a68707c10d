/* One flow of a client, and its fate: docs/wire.md, "Saying". */
#ifndef FLOW_H
#define FLOW_H

#include "platform.h"
#include "request.h"
#include "trial.h"

#include <stdint.h>

enum { WINDOW = 32 }; /* flows that may be unanswered at once */

enum fate { UNDECIDED, SERVED, FAILED, TIMED_OUT, LEFT_OPEN, ENDED, FOREIGN, REJECTED };
enum state { IDLE, CONNECTING, OPEN, DONE };

/* The connection of a flow of `peer=tun` (RFC 9293 3.3.1, as far as a client needs it).
 * `answers`: SYN-ACKs that came; `owes`: it owes an ACK; `theirs`: their FIN came; `due`: when to
 * repeat what is not yet acknowledged, 0: nothing is; `closing`: since when it closes. */
struct tcp {
    enum { CLOSED, SYN_SENT, HALF_OPEN, ESTABLISHED, CLOSING } at;
    int target, answers, owes, theirs, tries;
    uint32_t next, acknowledged, expected;
    int64_t due, closing;
};

/* `state` says what its connection does, `fate` how this phase ended for it. */
struct flow {
    int fd, port, error, group;
    enum state state;
    enum fate fate;
    int64_t started, ended;
    uint32_t number;
    int silent; /* it has not sent its request yet */
    int received, answers;
    unsigned char bytes[REPLY];
    uint16_t answered[MAX_MEMBERS];
    struct tcp tcp;
};

/* A new request; the flow has no fate yet. */
void flow_begin(struct flow *, uint32_t number);

/* Goes on with the connection as it is; a flow that has ended keeps its fate. */
void flow_resume(struct flow *);

/* Gives the flow its fate; the connection of one that was served, or whose time is up, may stay. */
void flow_end(struct flow *, enum fate, int error);

/* Ends a flow whose connection is lost, by the error of a call on its socket.  After a reset some
 * kernels give EPIPE to send() and keep the reason for recv(). */
void flow_lost(struct flow *, int error);

/* Takes bytes that came for the flow; with flow_grown() they are in flow->bytes already. */
void flow_hear(const struct trial *, struct flow *, const unsigned char *bytes, int count);
void flow_grown(const struct trial *, struct flow *, int count);

#endif
