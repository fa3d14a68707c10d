/* Programs that choose the member of a group that a flow reaches (Linux: SO_ATTACH_REUSEPORT_CBPF
 * and SO_ATTACH_REUSEPORT_EBPF of socket(7)).
 *
 * They choose the place that is the client's port modulo `range`, so that the asker knows it. */
#ifndef PLATFORM_STEER_H
#define PLATFORM_STEER_H

#include "platform.h"

struct steering {
    int ebpf;   /* else classic BPF, which every user can attach */
    int six;    /* packets are IPv6 */
    int range;
    int places; /* of eBPF: the map from places to sockets, which members inherit */
};

/* Makes what members inherit, with this many places.  Each returns 0, or the errno. */
int platform_steer_open(struct steering *, int places);

/* Attaches the program to the group of this socket, in place of the one that it has. */
int platform_steer_attach(const struct steering *, int fd);

/* Puts the socket at this place, which only eBPF needs: other programs count members. */
int platform_steer_place(const struct steering *, int fd, int place);

int platform_steer_detach(int fd);

#endif
