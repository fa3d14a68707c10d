/* What became of a system call: which one failed, and with which errno. */
#ifndef OUTCOME_H
#define OUTCOME_H

#include "platform.h"

enum call {
    NO_CALL, CALL_SOCKET, CALL_SETSOCKOPT, CALL_BIND, CALL_LISTEN, CALL_CLOSE, CALL_SHUTDOWN,
    CALL_SETUID, CALL_SENDMSG, CALL_RECVMSG, CALL_SOCKETPAIR, CALL_FORK, CALL_JOIN,
    CALL_SENDTO, CALL_RING, CALL_CONNECT, CALL_WRITE, CALL_EXEC, CALL_READY
};

/* The call that failed and its errno; NO_CALL and 0 if none did. */
struct outcome {
    enum call call;
    int error;
};

/* The outcome of a call that returned this: 0 is success, anything else failed with errno. */
struct outcome outcome_of(enum call, int result);

/* The name of the call, null for NO_CALL. */
const char *call_name(enum call);

#endif
