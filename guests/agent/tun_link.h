/* The tun device: its addresses, and the TCP segments that go through it. */
#ifndef TUN_LINK_H
#define TUN_LINK_H

#include "platform.h"
#include "segment.h"

enum { PACKET_ROOM = 4 + SEGMENT_ROOM };

struct trial;

/* Gives the members an address on the device, or ends the question. */
void link_open(struct trial *);

/* In a child of the question, which would keep the device alive. */
void link_leave(void);
void link_close(void);

int link_descriptor(void);
void link_put(struct segment *);

/* The next segment for one of the hosts; its payload is in `packet`.  0, or -1 if none has come. */
int link_get(struct segment *, unsigned char *packet);

#endif
