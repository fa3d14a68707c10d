/* A member's socket for one client, beside its listener. */
#ifndef SESSION_SOCKET_H
#define SESSION_SOCKET_H

#include "platform.h"
#include "outcome.h"

struct command;
struct trial;

/* Binds where the command says and connects to its client; -1 if the kernel refuses, with the call
 * that failed. */
int session_socket(const struct trial *, const struct command *, struct outcome *);

#endif
