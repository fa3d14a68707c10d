/* What chooses the member of a group that a flow reaches (Linux: SO_ATTACH_REUSEPORT_CBPF,
 * SO_ATTACH_REUSEPORT_EBPF and SO_INCOMING_CPU of socket(7)).
 *
 * Programs choose the place that is the client's port modulo `range`, so that the asker knows it.
 * By CPU, places take turns on two CPUs. */
#ifndef PLATFORM_STEER_H
#define PLATFORM_STEER_H

#include "platform.h"

struct steering {
    enum { CLASSIC, EXTENDED, BY_CPU } kind;
    int six;    /* packets are IPv6 */
    int range;
    int places; /* of eBPF: the map from places to sockets, which members inherit */
    int cpus[2];
};

/* Makes what members inherit, with this many places.  Each returns 0, or the errno. */
int platform_steer_open(struct steering *, int places);

/* Attaches the program to the group of this socket, in place of the one that it has; by CPU there
 * is none. */
int platform_steer_attach(const struct steering *, int fd);

/* Puts the socket at this place.  Classic BPF needs no places, it counts members. */
int platform_steer_place(const struct steering *, int fd, int place);

int platform_steer_detach(int fd);

/* This process runs on this one of the two CPUs only, and what it sends is received there. */
int platform_steer_stay(const struct steering *, int which);

#endif
