/* Clients that are sockets: each flow connects from a port of its own. */
#ifndef SOCKET_CLIENT_H
#define SOCKET_CLIENT_H

#include "platform.h"
#include "client.h"

extern const struct client socket_client;

#endif
