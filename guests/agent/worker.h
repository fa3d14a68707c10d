/* A member of the group, inside its own process: one socket, and a channel to its parent. */
#ifndef WORKER_H
#define WORKER_H

#include "platform.h"
#include "outcome.h"
#include "request.h"

#include <poll.h>

enum { OWN = 3 }; /* descriptors polled before the connections: channel, listener, adopted one */

struct trial;

struct connection {
    int fd;
    int index;  /* by which it answers */
    int client; /* the port to which it is connected, of datagrams */
    struct incoming request;
};

struct worker {
    const struct trial *trial;
    int index, control, listener, serving;
    int silent;    /* poll() said wrongly that the listener has something: try it by the clock */
    int adopted;   /* a sibling's listener, -1: none */
    int handing;   /* the adopted one is on its way to another member */
    int finishing; /* ends with its last connection */
    int taken;     /* connections accepted while it retires */
    int endless;   /* accept() never said that none is left */
    pid_t heir;    /* the child that inherited the listener by fork(), 0: none */
    int heir_control;
    struct connection *connections;
    struct pollfd *polls;
    int count, room;
};

/* Serves until the channel closes; does not return. */
void worker_run(const struct trial *, int index, int control);
void worker_go_on(struct worker *);

/* 1, or 0 and errno if no connection waits. */
int accept_one(struct worker *, int listener);
struct outcome close_listener(struct worker *);

#endif
