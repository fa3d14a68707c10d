/* An address of an interface, set over rtnetlink(7): Linux, and kernels that imitate it. */
#ifndef PLATFORM_NETLINK_H
#define PLATFORM_NETLINK_H

#include "platform.h"

/* Gives the interface an address with a prefix length, and with it the route to its net; 0, or the
 * errno that says why not.  ENOSYS: this system has no netlink. */
int platform_netlink_address(const char *interface, int six, const char *text, int prefix);

#endif
