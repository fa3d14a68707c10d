/* What the parent tells a member on its channel, and what the member answers. */
#ifndef COMMAND_H
#define COMMAND_H

#include "platform.h"
#include "addresses.h"
#include "outcome.h"

enum operation {
    BIND, LISTEN, SERVE, PAUSE, CLOSE_LISTENER, SHUT_DOWN, LISTEN_ZERO, LEAVE_PROCESS,
    CHANGE_UID, CONNECT, END_CONNECTIONS, RETIRE, HAND_OVER, RECEIVE, DROP, BEQUEATH, RECLAIM,
    FINISH, SPEAK, HOLD, LISTEN_ONLY, LISTEN_AGAIN, STEER, STEER_WIDER, UNSTEER
};

struct command {
    enum operation operation;
    int option, family, late; /* late: set the option after bind() */
    int device;             /* take what comes through the loopback interface only */
    int index;              /* by which the socket answers that it connects */
    struct address address; /* where it binds, or to whom it speaks */
    struct address client;  /* to whom it connects */
};

struct answer {
    struct outcome outcome;
    int taken;   /* connections that it accepted while it retired */
    int endless; /* and never heard that its queue was empty */
};

#endif
