/* The bytes that a client sends to a member, and those that come back. */
#include "request.h"

#include "clock.h"
#include "trial.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

void request_write(const struct trial *trial, uint32_t number, unsigned char *request)
{
    memcpy(request, trial->token, TOKEN);
    for (int i = 0; i < 4; i++)
        request[TOKEN + i] = (unsigned char)(number >> (24 - 8 * i));
}

uint32_t request_number(const unsigned char *bytes)
{
    const unsigned char *number = bytes + TOKEN;
    return (uint32_t)number[0] << 24 | (uint32_t)number[1] << 16 | (uint32_t)number[2] << 8
        | number[3];
}

int reply_to(const struct trial *trial, int index, const unsigned char *request,
             unsigned char *reply)
{
    if (memcmp(request, trial->token, TOKEN) != 0)
        return -1;
    memcpy(reply, request, REQUEST);
    reply[REQUEST] = (unsigned char)(index >> 8);
    reply[REQUEST + 1] = (unsigned char)index;
    if (trial->service > 0)
        pause_ms(trial->service);
    return 0;
}

int answer_connection(const struct trial *trial, int index, int fd, struct incoming *request)
{
    unsigned char reply[REPLY];
    ssize_t got = recv(fd, request->bytes + request->received,
                       (size_t)(REQUEST - request->received), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return 0;
    if (got <= 0)
        return -1;
    request->received += (int)got;
    if (request->received < REQUEST)
        return 0;
    request->received = 0;
    if (reply_to(trial, index, request->bytes, reply) != 0)
        return -1;
    return send(fd, reply, sizeof reply, MSG_DONTWAIT) == (ssize_t)sizeof reply ? 0 : -1;
}
