/* A question to a DNS server, and its answer: RFC 1035. */
#ifndef DNS_MESSAGE_H
#define DNS_MESSAGE_H

#include "platform.h"

#include <stddef.h>

/* Writes the question for the address of `generation.test.`; returns its size.  Over TCP its length
 * goes before it. */
size_t dns_question(char *into, int over_tcp);

/* N of the address 127.1.0.N that these bytes say, HEARD_PART or HEARD_WRONG of dialogue.h. */
int dns_answer(const char *bytes, size_t count, int over_tcp);

#endif
