/* One flow of a client: what it becomes by the bytes that come for it. */
#include "flow.h"

#include "clock.h"

#include <errno.h>
#include <string.h>

void flow_begin(struct flow *flow, uint32_t number)
{
    flow->number = number;
    flow->fate = UNDECIDED;
    flow->received = flow->answers = 0;
    flow->started = flow->ended = clock_ms();
}

void flow_resume(struct flow *flow)
{
    flow->started = clock_ms();
    if (flow->state == DONE)
        flow->ended = flow->started;
    else
        flow->fate = UNDECIDED;
}

void flow_end(struct flow *flow, enum fate fate, int error)
{
    if (fate == FAILED || fate == ENDED || fate == FOREIGN || fate == REJECTED)
        flow->state = DONE;
    flow->fate = fate;
    flow->error = error;
    flow->ended = clock_ms();
}

/* The reply must carry the run's token, and this flow's number of this phase. */
static void flow_answered(const struct trial *trial, struct flow *flow)
{
    int member = flow->bytes[REQUEST] << 8 | flow->bytes[REQUEST + 1];
    int ours = memcmp(flow->bytes, trial->token, TOKEN) == 0 && member < trial->indexes;
    if (ours && request_number(flow->bytes) != flow->number)
        return; /* a late datagram of an earlier phase on the same ports */
    if (!ours && flow->answers == 0)
        flow_end(flow, FOREIGN, 0);
    if (ours && flow->answers < MAX_MEMBERS)
        flow->answered[flow->answers++] = (uint16_t)member;
    if (ours && flow->answers == 1)
        flow_end(flow, SERVED, 0);
}

void flow_grown(const struct trial *trial, struct flow *flow, int count)
{
    int udp = trial->question->udp;
    flow->received = udp ? 0 : flow->received + count;
    size_t begun = flow->received < TOKEN ? (size_t)flow->received : TOKEN;
    if ((udp && count != REPLY) || memcmp(flow->bytes, trial->token, udp ? 0 : begun) != 0)
        flow_end(flow, FOREIGN, 0);
    else if (udp || flow->received == REPLY)
        flow_answered(trial, flow);
    if (flow->received == REPLY)
        flow->received = 0;
}

void flow_hear(const struct trial *trial, struct flow *flow, const unsigned char *bytes, int count)
{
    int room = REPLY - flow->received;
    if (count > room)
        count = room; /* no member says more */
    memcpy(flow->bytes + flow->received, bytes, (size_t)count);
    flow_grown(trial, flow, count);
}

void flow_lost(struct flow *flow, int error)
{
    char byte;
    if (error == EPIPE) {
        ssize_t got = recv(flow->fd, &byte, 1, 0);
        int reason = errno;
        if (got == 0) {
            flow_end(flow, ENDED, 0);
            return;
        }
        if (got < 0 && reason != EAGAIN && reason != EWOULDBLOCK)
            error = reason;
    }
    flow_end(flow, FAILED, error);
}
