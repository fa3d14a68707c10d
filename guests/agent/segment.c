/* A TCP segment in its packet: RFC 791, RFC 8200 8.1, RFC 9293 3.1. */
#include "segment.h"

#include <string.h>

enum {
    FOUR = 20, SIX = 40, HEADER = 20, MSS_OPTION = 4, TCP = 6, TTL = 64, WINDOW = 65535,
    SHORTEST_MTU = 1280 /* of IPv6 (RFC 8200 5), fits any interface */
};

static void put16(unsigned char *at, unsigned value)
{
    at[0] = (unsigned char)(value >> 8);
    at[1] = (unsigned char)value;
}

static void put32(unsigned char *at, uint32_t value)
{
    put16(at, value >> 16);
    put16(at + 2, value & 0xffff);
}

static unsigned get16(const unsigned char *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

static uint32_t get32(const unsigned char *at)
{
    return (uint32_t)get16(at) << 16 | get16(at + 2);
}

/* Ones' complement sum of 16-bit words (RFC 1071); a last odd byte is the high one. */
static uint32_t sum(uint32_t total, const unsigned char *bytes, int size)
{
    for (int i = 0; i + 1 < size; i += 2)
        total += get16(bytes + i);
    return size % 2 != 0 ? total + ((uint32_t)bytes[size - 1] << 8) : total;
}

static unsigned folded(uint32_t total)
{
    while (total >> 16 != 0)
        total = (total & 0xffff) + (total >> 16);
    return ~total & 0xffff;
}

/* Includes the pseudo header.  0 if the segment already has its checksum, and it is right. */
static unsigned tcp_checksum(const struct segment *segment, const unsigned char *tcp, int size)
{
    int width = segment->six ? 16 : 4;
    uint32_t total = sum(TCP + (uint32_t)size, segment->from, width);
    return folded(sum(sum(total, segment->to, width), tcp, size));
}

static int write_ip(const struct segment *segment, unsigned char *packet, int size)
{
    if (segment->six) {
        packet[0] = 0x60;
        put16(packet + 4, (unsigned)size);
        packet[6] = TCP;
        packet[7] = TTL;
        memcpy(packet + 8, segment->from, 16);
        memcpy(packet + 24, segment->to, 16);
        return SIX;
    }
    packet[0] = 0x45;
    put16(packet + 2, (unsigned)(FOUR + size));
    packet[6] = 0x40; /* do not fragment, so that the identification may be 0 (RFC 6864) */
    packet[8] = TTL;
    packet[9] = TCP;
    memcpy(packet + 12, segment->from, 4);
    memcpy(packet + 16, segment->to, 4);
    put16(packet + 10, folded(sum(0, packet, FOUR)));
    return FOUR;
}

int segment_write(const struct segment *segment, unsigned char *packet)
{
    int options = (segment->flags & SYN) != 0 ? MSS_OPTION : 0;
    int size = HEADER + options + segment->length;
    memset(packet, 0, SIX + HEADER + MSS_OPTION);
    int before = write_ip(segment, packet, size);
    unsigned char *tcp = packet + before;
    put16(tcp, (unsigned)segment->source);
    put16(tcp + 2, (unsigned)segment->target);
    put32(tcp + 4, segment->sequence);
    put32(tcp + 8, segment->acknowledged);
    tcp[12] = (unsigned char)((HEADER + options) / 4 << 4);
    tcp[13] = (unsigned char)segment->flags;
    put16(tcp + 14, WINDOW);
    if (options > 0) {
        tcp[HEADER] = 2;
        tcp[HEADER + 1] = MSS_OPTION;
        put16(tcp + HEADER + 2, SHORTEST_MTU - SIX - HEADER);
    }
    if (segment->length > 0)
        memcpy(tcp + HEADER + options, segment->payload, (size_t)segment->length);
    put16(tcp + 16, tcp_checksum(segment, tcp, size));
    return before + size;
}

/* Returns where the TCP header begins, and how long the segment is; -1 if this is no TCP packet.
 * IPv6 extension headers are not followed: no kernel sends any here. */
static int read_ip(struct segment *segment, const unsigned char *packet, int size, int *length)
{
    segment->six = size > 0 && packet[0] >> 4 == 6;
    int before = segment->six ? SIX : size > 0 ? (packet[0] & 0xf) * 4 : 0;
    if (size < FOUR || size < before || before < FOUR
        || (!segment->six && packet[0] >> 4 != 4) || packet[segment->six ? 6 : 9] != TCP)
        return -1;
    if (segment->six) {
        *length = (int)get16(packet + 4);
        memcpy(segment->from, packet + 8, 16);
        memcpy(segment->to, packet + 24, 16);
    } else {
        *length = (int)get16(packet + 2) - before;
        memcpy(segment->from, packet + 12, 4);
        memcpy(segment->to, packet + 16, 4);
        if (folded(sum(0, packet, before)) != 0)
            return -1;
    }
    return *length <= size - before ? before : -1;
}

int segment_read(struct segment *segment, const unsigned char *packet, int size)
{
    int length = 0;
    memset(segment, 0, sizeof *segment);
    int before = read_ip(segment, packet, size, &length);
    if (before < 0 || length < HEADER)
        return -1;
    const unsigned char *tcp = packet + before;
    int header = (tcp[12] >> 4) * 4;
    if (header < HEADER || header > length || tcp_checksum(segment, tcp, length) != 0)
        return -1;
    segment->source = (int)get16(tcp);
    segment->target = (int)get16(tcp + 2);
    segment->sequence = get32(tcp + 4);
    segment->acknowledged = get32(tcp + 8);
    segment->flags = tcp[13];
    segment->payload = tcp + header;
    segment->length = length - header;
    return 0;
}
