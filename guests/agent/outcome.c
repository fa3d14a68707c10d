/* What became of a system call: which one failed, and with which errno. */
#include "outcome.h"

#include <errno.h>
#include <stddef.h>

struct outcome outcome_of(enum call call, int result)
{
    int error = errno;
    return result == 0 ? (struct outcome){ NO_CALL, 0 } : (struct outcome){ call, error };
}

const char *call_name(enum call call)
{
    static const char *const names[] = {
        [NO_CALL] = NULL, [CALL_SOCKET] = "socket", [CALL_SETSOCKOPT] = "setsockopt",
        [CALL_BIND] = "bind", [CALL_LISTEN] = "listen", [CALL_CLOSE] = "close",
        [CALL_SHUTDOWN] = "shutdown", [CALL_SETUID] = "setuid", [CALL_SENDMSG] = "sendmsg",
        [CALL_RECVMSG] = "recvmsg", [CALL_SOCKETPAIR] = "socketpair", [CALL_FORK] = "fork",
        [CALL_JOIN] = "join", [CALL_SENDTO] = "sendto",
        [CALL_RING] = "io_uring_enter", [CALL_CONNECT] = "connect",
        [CALL_WRITE] = "write", [CALL_EXEC] = "exec", [CALL_READY] = "ready"
    };
    return names[call];
}
