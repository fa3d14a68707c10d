/* `confirm=order`: where one member serves all, asks what else than an order may decide that. */
#ifndef CONFIRM_H
#define CONFIRM_H

#include "platform.h"

struct flow;
struct trial;

/* The member that served each of the last of these flows alone; -1 if they had several, or none. */
int sole_server(const struct flow *, int count);

/* The phase `name`, of clients with an address each, if `sole` is one of several members that
 * stand; else the phase is empty. */
void confirm_addresses(struct trial *, const char *name, int sole, int standing);

/* UDP: phases `spoke-1` and `spoke-2`.  Before each of them another member, of all that stand with
 * indexes from 0, sends a datagram. */
void confirm_speakers(struct trial *, int sole, int standing);

#endif
