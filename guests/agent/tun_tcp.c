/* The far end of the flows: hosts of our own behind a tun device, in the role of TCP clients
 * (RFC 9293 3.10), so that an ACK can be held back and no port ever runs out.
 *
 * One segment is under way at a time in each direction; the request and the reply are one each. */
#include "tun_tcp.h"

#include <errno.h>
#include <string.h>

/* STEP: between initial sequence numbers; a 4-tuple comes again within 2^31 / STEP connections, so
 * its number has grown then and a kernel in TIME_WAIT takes the SYN (RFC 9293 3.10.7.4).
 * RTO: RFC 6298 2.1, then doubled.  TEARDOWN: after so long without their FIN it is given up. */
enum { STEP = 1024, RTO = 1000, TRIES = 5, SWEEP = 50, TEARDOWN = 3000, BURST = 64 };

/* One question is one process, and has one far end. */
static struct {
    uint32_t sequence;
    int64_t swept;
    struct flow *flows[65536]; /* by the client's port, which no two flows share */
} peer;

static void say(const struct flow *flow, int flags, uint32_t sequence, const unsigned char *bytes,
                int length)
{
    struct segment segment = { .source = flow->port, .target = flow->wire.target,
                               .sequence = sequence, .flags = flags, .payload = bytes,
                               .length = length };
    if ((flags & ACK) != 0)
        segment.acknowledged = flow->wire.expected;
    link_put(&segment);
}

/* Something that takes sequence space, to be sent again until it is acknowledged. */
static void say_surely(struct flow *flow, int flags, const unsigned char *bytes, int length)
{
    say(flow, flags, flow->wire.next, bytes, length);
    flow->wire.next += (uint32_t)length + ((flags & (SYN | FIN)) != 0);
    flow->wire.due = clock_ms() + RTO;
    flow->wire.tries = 0;
}

static void forget(struct flow *flow)
{
    flow->wire.at = CLOSED;
    flow->wire.due = 0;
    if (peer.flows[flow->port] == flow)
        peer.flows[flow->port] = NULL;
}

static void say_request(struct trial *trial, struct flow *flow)
{
    unsigned char request[REQUEST];
    flow_request(trial, flow, request);
    say_surely(flow, ACK | PSH, request, sizeof request);
}

/* 0, or -1 while the teardown of the connection before on this 4-tuple goes on. */
int peer_start(struct trial *trial, struct flow *flow, uint32_t number)
{
    if (flow->wire.at != CLOSED && clock_ms() - flow->wire.closing < TEARDOWN)
        return -1;
    if (flow->wire.at != CLOSED)
        say(flow, RST | ACK, flow->wire.next, NULL, 0);
    if (flow->port == 0)
        flow->port = draw_port(trial);
    flow_begin(flow, number);
    flow->state = CONNECTING;
    peer.flows[flow->port] = flow;
    peer.sequence += STEP;
    flow->wire = (struct wire){ .at = SYN_SENT, .target = trial->port, .next = peer.sequence };
    flow->wire.acknowledged = flow->wire.next;
    say_surely(flow, SYN, NULL, 0);
    return 0;
}

/* The request brings the final ACK of the handshake, too. */
static void establish(struct trial *trial, struct flow *flow)
{
    flow->wire.at = ESTABLISHED;
    flow->state = OPEN;
    say_request(trial, flow);
}

/* Here the ACK comes alone, for it is what is asked about. */
void peer_complete(struct trial *trial, struct flow *flow)
{
    if (flow->wire.at != HALF_OPEN)
        return;
    say(flow, ACK, flow->wire.next, NULL, 0);
    establish(trial, flow);
}

/* Whether they have not even acknowledged the request: then they never took our ACK. */
int peer_unheard(const struct flow *flow)
{
    return flow->wire.at == ESTABLISHED && flow->wire.acknowledged != flow->wire.next;
}

/* In order where the flow was served; else with a reset, as SO_LINGER 0 does for a socket. */
void peer_hang_up(struct flow *flow)
{
    if (flow->wire.at == ESTABLISHED && flow->fate == SERVED) {
        flow->wire.at = CLOSING;
        flow->wire.closing = clock_ms();
        flow->wire.owes = 0;
        say_surely(flow, FIN | ACK, NULL, 0);
    } else if (flow->wire.at == ESTABLISHED || flow->wire.at == HALF_OPEN) {
        say(flow, RST | ACK, flow->wire.next, NULL, 0);
        forget(flow);
    } else if (flow->wire.at == SYN_SENT) {
        forget(flow);
    }
}

/* Of no connection: a reset, as from any host (RFC 9293 3.10.7.1).  A kernel that answers a SYN
 * late learns by it that nobody waits. */
static void refuse(const struct segment *got)
{
    struct segment reset = { .source = got->target, .target = got->source,
                             .sequence = got->acknowledged, .flags = RST };
    if ((got->flags & RST) != 0)
        return;
    if ((got->flags & ACK) == 0) {
        reset.sequence = 0;
        reset.flags = RST | ACK;
        reset.acknowledged = got->sequence + (uint32_t)got->length
            + ((got->flags & (SYN | FIN)) != 0);
    }
    link_put(&reset);
}

static void take_reset(struct flow *flow, const struct segment *got)
{
    int waits = flow->wire.at == SYN_SENT;
    if (waits ? got->acknowledged != flow->wire.next : got->sequence != flow->wire.expected)
        return; /* not of this connection (RFC 9293 3.10.7.3, RFC 5961 3.2) */
    if (flow->fate == UNDECIDED)
        flow_end(flow, FAILED, waits ? ECONNREFUSED : ECONNRESET);
    forget(flow);
}

/* A SYN and ACK: the first completes the handshake, unless the phase leaves it half open until so
 * many have come. */
static void take_answer(struct trial *trial, const struct phase *phase, struct flow *flow,
                        const struct segment *got)
{
    if (got->acknowledged != flow->wire.acknowledged + 1 && flow->wire.at == SYN_SENT) {
        refuse(got); /* of an older SYN (RFC 9293 3.10.7.3) */
        return;
    }
    if (flow->wire.at == SYN_SENT) {
        flow->wire.at = HALF_OPEN;
        flow->wire.acknowledged = got->acknowledged;
        flow->wire.expected = got->sequence + 1;
        flow->wire.due = 0;
    } else if (flow->wire.at != HALF_OPEN) {
        flow->wire.owes = 1; /* our ACK was lost on them: what we say next acknowledges it again */
        return;
    }
    flow->wire.answers++;
    if (phase->half_open == 0) {
        establish(trial, flow);
    } else if (flow->wire.answers >= phase->half_open && flow->fate == UNDECIDED) {
        flow_end(flow, LEFT_OPEN, 0);
    }
}

static void take_acknowledgement(struct flow *flow, const struct segment *got)
{
    uint32_t more = got->acknowledged - flow->wire.acknowledged;
    if ((got->flags & ACK) == 0 || more == 0 || more > flow->wire.next - flow->wire.acknowledged)
        return;
    flow->wire.acknowledged = got->acknowledged;
    if (flow->wire.acknowledged == flow->wire.next)
        flow->wire.due = 0;
}

static void take_bytes(struct trial *trial, struct flow *flow, const struct segment *got)
{
    int fin = (got->flags & FIN) != 0;
    if (got->length == 0 && !fin)
        return;
    flow->wire.owes = 1;
    if (got->sequence != flow->wire.expected)
        return; /* again what we have, or after a gap: they learn what we wait for */
    flow->wire.expected += (uint32_t)(got->length + fin);
    if (got->length > 0)
        flow_hear(trial, flow, got->payload, got->length);
    if (fin) {
        flow->wire.theirs = 1;
        if (flow->fate == UNDECIDED)
            flow_end(flow, ENDED, 0);
    }
}

/* Both ends are closed: their FIN is taken, ours acknowledged. */
static void close_both(struct flow *flow)
{
    if (flow->wire.theirs && flow->wire.at == ESTABLISHED) {
        flow->wire.at = CLOSING;
        flow->wire.closing = clock_ms();
        flow->wire.owes = 0;
        say_surely(flow, FIN | ACK, NULL, 0);
    }
    if (flow->wire.owes)
        say(flow, ACK, flow->wire.next, NULL, 0);
    flow->wire.owes = 0;
    if (flow->wire.theirs && flow->wire.at == CLOSING
        && flow->wire.acknowledged == flow->wire.next)
        forget(flow);
}

static void take(struct trial *trial, const struct phase *phase, const struct segment *got)
{
    struct flow *flow = peer.flows[got->target];
    if (flow == NULL || got->source != flow->wire.target) {
        flow = NULL;
        refuse(got);
    } else if ((got->flags & RST) != 0) {
        take_reset(flow, got);
    } else if ((got->flags & (SYN | ACK)) == (SYN | ACK)) {
        take_answer(trial, phase, flow, got);
    } else if (flow->wire.at == ESTABLISHED || flow->wire.at == CLOSING) {
        take_acknowledgement(flow, got);
        take_bytes(trial, flow, got);
        if (flow->fate == SERVED && !phase->keep)
            flow_close(flow);
    }
    if (flow != NULL && flow->wire.at != CLOSED)
        close_both(flow);
}

void peer_hear(struct trial *trial, const struct phase *phase)
{
    unsigned char packet[PACKET_ROOM];
    struct segment got;
    for (int i = 0; i < BURST && link_get(&got, packet) == 0; i++)
        take(trial, phase, &got);
}

/* The whole of what is not acknowledged, again: it is one segment. */
static void repeat(struct trial *trial, struct flow *flow, int64_t now)
{
    unsigned char request[REQUEST];
    trial->resends++;
    flow->wire.due = now + ((int64_t)RTO << ++flow->wire.tries);
    if (flow->wire.at == SYN_SENT) {
        say(flow, SYN, flow->wire.acknowledged, NULL, 0);
    } else if (flow->wire.at == CLOSING) {
        say(flow, FIN | ACK, flow->wire.next - 1, NULL, 0);
    } else if (flow->wire.at == ESTABLISHED) {
        flow_request(trial, flow, request);
        say(flow, ACK | PSH, flow->wire.acknowledged, request, sizeof request);
    }
}

/* Also those of flows that are done and whose teardown is not. */
void peer_repeat(struct trial *trial, const struct phase *phase)
{
    int64_t now = clock_ms();
    if (now - peer.swept < SWEEP)
        return;
    peer.swept = now;
    for (int i = 0; i < phase->started; i++) {
        struct flow *flow = &phase->flows[i];
        if (flow->wire.due == 0 || now < flow->wire.due)
            continue;
        if (flow->wire.tries < TRIES)
            repeat(trial, flow, now);
        else
            forget(flow);
    }
}
