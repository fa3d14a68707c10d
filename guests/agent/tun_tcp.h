/* TCP as the hosts behind the tun device speak it, in the role of clients (RFC 9293 3.10). */
#ifndef TUN_TCP_H
#define TUN_TCP_H

#include "platform.h"

#include <stdint.h>

struct flow;
struct phase;
struct trial;

/* 0, or -1 while the last connection of this 4-tuple is still closing. */
int tcp_start(struct trial *, struct flow *, uint32_t number);

/* Sends the final ACK of a handshake that was left half open, and the request. */
void tcp_complete(struct trial *, struct flow *);

/* Leaves the handshake half open: the flow is done once its SYN-ACK has come as often as the phase
 * asks. */
void tcp_hold(const struct phase *, struct flow *);

/* Connections that are closed here, and not yet at the server. */
int tcp_closing(void);

/* Closes with FIN if the flow was served, else with RST. */
void tcp_hang_up(struct flow *);

/* Whether the server has not even acknowledged the request; then it never took the final ACK. */
int tcp_unheard(const struct flow *);

/* Takes the segments that have come. */
void tcp_hear(struct trial *, const struct phase *);

/* Sends again what was not acknowledged in time. */
void tcp_repeat(struct trial *, const struct phase *);

#endif
