/* A member's inside, for the two files that it is made of. */
#ifndef WORKER_H
#define WORKER_H

#include "agent.h"

#include <poll.h>

enum { OWN = 3 }; /* descriptors polled before the connections: channel, listener, adopted one */

enum call {
    NO_CALL, CALL_SOCKET, CALL_SETSOCKOPT, CALL_BIND, CALL_LISTEN, CALL_CLOSE, CALL_SHUTDOWN,
    CALL_SETUID, CALL_SENDMSG, CALL_RECVMSG, CALL_SOCKETPAIR, CALL_FORK, CALL_JOIN
};

struct connection {
    int fd, received;
    unsigned char request[REQUEST];
};

struct worker {
    const struct trial *trial;
    int index, control, listener, serving;
    int silent;    /* poll() cries wolf over the socket: ask it in turns instead */
    int adopted;   /* a sibling's listener, -1: none */
    int handing;   /* the adopted one is on its way to somebody else */
    int finishing; /* ends with its last connection */
    pid_t heir;    /* who inherited the listener by fork(), 0: nobody */
    int heir_control;
    struct connection *connections;
    struct pollfd *polls;
    int count, room;
};

struct answer answer(enum call, int result);
struct answer close_listener(struct worker *);
int accept_one(struct worker *, int listener);
void worker_go_on(struct worker *);

/* retire.c */
struct answer retire(struct worker *, enum operation);

#endif
