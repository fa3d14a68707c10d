/* The far end of the flows, played packet by packet behind a tun device. */
#ifndef PEER_H
#define PEER_H

#include "agent.h"
#include "segment.h"

enum { PACKET_ROOM = 4 + SEGMENT_ROOM };

/* tun_link.c: the device.  link_open() gives the members an address on it, or ends the question;
 * link_get() is 0, or -1 if nothing has come. */
void link_open(struct trial *);
int link_descriptor(void);
void link_put(struct segment *);
int link_get(struct segment *, unsigned char *packet);

/* In a child of the question: the device would outlive it. */
void link_forget(void);
void link_close(void);

/* tun_tcp.c: the connections.  peer_start() is 0, or -1 while the teardown of the one before on the
 * same 4-tuple goes on; peer_complete() sends the final ACK of a handshake that was left half open,
 * and the request. */
int peer_start(struct trial *, struct flow *, uint32_t number);
void peer_complete(struct trial *, struct flow *);
void peer_hang_up(struct flow *);
int peer_unheard(const struct flow *);
void peer_hear(struct trial *, const struct phase *);
void peer_repeat(struct trial *, const struct phase *);

#endif
