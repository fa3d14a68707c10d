/* The bytes that a client sends to a member, and those that come back. */
#ifndef REQUEST_H
#define REQUEST_H

#include "platform.h"

#include <stdint.h>

enum {
    TOKEN = 16,          /* hex digits that name a run */
    REQUEST = TOKEN + 4, /* the token, and the number of the flow */
    REPLY = REQUEST + 2  /* the request, and the index of the member that answers */
};

struct trial;

/* A request as far as it has come over a connection. */
struct incoming {
    int received;
    unsigned char bytes[REQUEST];
};

void request_write(const struct trial *, uint32_t number, unsigned char *request);

/* The number of the flow in a request, or in the reply to one. */
uint32_t request_number(const unsigned char *bytes);

/* Writes the reply of a member, after the time that a member takes for each; 0, or -1 if the
 * request does not carry the token of this run. */
int reply_to(const struct trial *, int index, const unsigned char *request, unsigned char *reply);

/* Takes what has come over a connection, and answers a whole request; it never waits, whatever the
 * descriptor says.  0, or -1 when the connection has ended, or belongs to another run. */
int answer_connection(const struct trial *, int index, int fd, struct incoming *);

#endif
