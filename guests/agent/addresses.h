/* Where members bind, where clients do, and to whom datagrams go. */
#ifndef ADDRESSES_H
#define ADDRESSES_H

#include "platform.h"

struct trial;

struct address {
    struct sockaddr_storage storage;
    socklen_t size;
};

struct address address(int family, const char *text, int port);
struct address address_of_member(const struct trial *);

/* Where a client binds its own port, or the address that it connects to, with the group's port.  A
 * port makes an address of its own with `spread`. */
struct address address_of_client(const struct trial *, int port);

/* The same client as a member's socket sees it: IPv4 on an IPv6 socket is mapped. */
struct address address_of_peer(const struct trial *, int port);

/* The port in it, in host order. */
int port_of(const struct address *);

/* The destination of datagrams: one member of the group, or all of them. */
struct address address_of_delivery(const struct trial *);

/* Joins the multicast group on the loopback interface; 0, or -1 and errno. */
int join_group(const struct trial *, int fd);

#endif
