/* A member's socket for one client, beside its listener. */
#include "session_socket.h"

#include "command.h"
#include "sockets.h"

#include <sys/socket.h>
#include <unistd.h>

int session_socket(const struct trial *trial, const struct command *command,
                   struct outcome *outcome)
{
    const struct address *place = &command->address, *client = &command->client;
    int fd = socket_of_member(trial, command->family, command->option, outcome);
    if (fd < 0)
        return -1;
    *outcome = outcome_of(CALL_BIND, bind(fd, (const struct sockaddr *)&place->storage,
                                          place->size));
    if (outcome->call == NO_CALL)
        *outcome = outcome_of(CALL_CONNECT, connect(fd, (const struct sockaddr *)&client->storage,
                                                    client->size));
    if (outcome->call == NO_CALL)
        *outcome = outcome_of(CALL_SETSOCKOPT, set_nonblocking(fd));
    if (outcome->call == NO_CALL)
        return fd;
    close(fd);
    return -1;
}
