/* Clients behind a tun device (`peer=tun`): hosts that this process plays packet by packet. */
#ifndef TUN_CLIENT_H
#define TUN_CLIENT_H

#include "platform.h"
#include "client.h"

extern const struct client tun_client;

#endif
