/* Sockets and their options. */
#ifndef SOCKETS_H
#define SOCKETS_H

#include "platform.h"
#include "outcome.h"

struct address;
struct trial;

/* Why these headers have no such option; null if they have it. */
const char *option_missing(int option);

/* The macro of the group option among those that it sets. */
const char *option_label(int option);

/* 0, or -1 and errno. */
int option_set(int fd, int option);
int set_nonblocking(int fd);

/* Sets on a listener when it is told of a connection; 0, or -1 and errno. */
int accept_as_asked(const struct trial *, int listener);

/* A socket of the group's kind, not yet bound; -1 if there is none, with the call that failed. */
int socket_of_member(const struct trial *, int family, int option, struct outcome *);

/* A socket of the question's clients; -1 and errno if there is none. */
int socket_of_client(const struct trial *);

/* Sends to `to`, or to the connected peer if it is null, again while a queue is full; each try
 * after the first is counted.  Returns the bytes that were sent, or -1 and errno. */
int send_patiently(int fd, const void *bytes, int count, const struct address *to, int *retries);

#endif
