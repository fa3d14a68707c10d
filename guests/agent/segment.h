/* A TCP segment in its IPv4 or IPv6 packet: as a struct, and as bytes. */
#ifndef SEGMENT_H
#define SEGMENT_H

#include "platform.h"

#include <stdint.h>

enum { FIN = 0x01, SYN = 0x02, RST = 0x04, PSH = 0x08, ACK = 0x10 };
enum { SEGMENT_ROOM = 1500 };

/* Addresses are in network order; IPv4 has the first four bytes.  `payload` is not a copy. */
struct segment {
    int six;
    unsigned char from[16], to[16];
    int source, target;
    uint32_t sequence, acknowledged;
    int flags;
    const unsigned char *payload;
    int length;
};

/* Fills the packet, which has room for SEGMENT_ROOM bytes; returns its length. */
int segment_write(const struct segment *, unsigned char *packet);

/* 0, or -1 if this is no whole TCP segment, or its checksum is wrong. */
int segment_read(struct segment *, const unsigned char *packet, int size);

#endif
