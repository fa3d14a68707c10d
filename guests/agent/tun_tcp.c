/* TCP as the hosts behind the tun device speak it, in the role of clients (RFC 9293 3.10).
 *
 * One segment is under way at a time in each direction: the request, and the reply. */
#include "tun_tcp.h"

#include "clock.h"
#include "flow.h"
#include "phase.h"
#include "ports.h"
#include "request.h"
#include "trial.h"
#include "tun_link.h"

#include <errno.h>
#include <stddef.h>

/* STEP: between initial sequence numbers.  A 4-tuple comes again within 2^31 / STEP connections, so
 * its sequence number has grown, and a kernel in TIME_WAIT takes the SYN (RFC 9293 3.10.7.4).
 * RTO: doubles at each repeat (RFC 6298 2.1).
 * TEARDOWN: how long a connection waits for the server's FIN. */
enum { STEP = 1024, RTO = 1000, TRIES = 5, SWEEP = 50, TEARDOWN = 3000, BURST = 64 };

/* A process asks one question, and so plays one set of hosts. */
static struct {
    uint32_t sequence;
    int64_t swept;
    int closing;
    struct flow *flows[65536]; /* by the client's port, which no two flows share */
} hosts;

static void say(const struct flow *flow, int flags, uint32_t sequence, const unsigned char *bytes,
                int length)
{
    struct segment segment = { .source = flow->port, .target = flow->tcp.target,
                               .sequence = sequence, .flags = flags, .payload = bytes,
                               .length = length };
    if ((flags & ACK) != 0)
        segment.acknowledged = flow->tcp.expected;
    link_put(&segment);
}

/* Sends what takes sequence space; it is repeated until it is acknowledged. */
static void say_surely(struct flow *flow, int flags, const unsigned char *bytes, int length)
{
    say(flow, flags, flow->tcp.next, bytes, length);
    flow->tcp.next += (uint32_t)length + ((flags & (SYN | FIN)) != 0);
    flow->tcp.due = clock_ms() + RTO;
    flow->tcp.tries = 0;
}

static void forget(struct flow *flow)
{
    hosts.closing -= flow->tcp.at == CLOSING;
    flow->tcp.at = CLOSED;
    flow->tcp.due = 0;
    if (hosts.flows[flow->port] == flow)
        hosts.flows[flow->port] = NULL;
}

static void say_end(struct flow *flow)
{
    flow->tcp.at = CLOSING;
    flow->tcp.closing = clock_ms();
    flow->tcp.owes = 0;
    hosts.closing++;
    say_surely(flow, FIN | ACK, NULL, 0);
}

int tcp_closing(void)
{
    return hosts.closing;
}

static void say_request(struct trial *trial, struct flow *flow)
{
    unsigned char request[REQUEST];
    request_write(trial, flow->number, request);
    say_surely(flow, ACK | PSH, request, sizeof request);
}

int tcp_start(struct trial *trial, struct flow *flow, uint32_t number)
{
    if (flow->tcp.at != CLOSED && clock_ms() - flow->tcp.closing < TEARDOWN)
        return -1;
    if (flow->tcp.at != CLOSED) {
        say(flow, RST | ACK, flow->tcp.next, NULL, 0);
        forget(flow);
    }
    if (flow->port == 0)
        flow->port = draw_port(trial);
    flow_begin(flow, number);
    flow->state = CONNECTING;
    hosts.flows[flow->port] = flow;
    hosts.sequence += STEP;
    flow->tcp = (struct tcp){ .at = SYN_SENT, .target = trial->port, .next = hosts.sequence };
    flow->tcp.acknowledged = flow->tcp.next;
    say_surely(flow, SYN, NULL, 0);
    return 0;
}

/* The request carries the final ACK of the handshake. */
static void establish(struct trial *trial, struct flow *flow)
{
    flow->tcp.at = ESTABLISHED;
    flow->state = OPEN;
    say_request(trial, flow);
}

/* The ACK goes alone, before the request: the scenario asks what it meets. */
void tcp_complete(struct trial *trial, struct flow *flow)
{
    if (flow->tcp.at != HALF_OPEN)
        return;
    say(flow, ACK, flow->tcp.next, NULL, 0);
    establish(trial, flow);
}

void tcp_hold(const struct phase *phase, struct flow *flow)
{
    if (flow->tcp.answers >= phase->half_open && flow->fate == UNDECIDED)
        flow_end(flow, LEFT_OPEN, 0);
}

int tcp_unheard(const struct flow *flow)
{
    return flow->tcp.at == ESTABLISHED && flow->tcp.acknowledged != flow->tcp.next;
}

/* RST is what SO_LINGER 0 makes of a socket's close, and three packets less than a FIN.  The server
 * takes it: the reply has acknowledged all that came before it. */
void tcp_hang_up(struct flow *flow)
{
    if (flow->tcp.at == ESTABLISHED || flow->tcp.at == HALF_OPEN) {
        say(flow, RST | ACK, flow->tcp.next, NULL, 0);
        forget(flow);
    } else if (flow->tcp.at == SYN_SENT) {
        forget(flow);
    }
}

/* A segment of no connection gets a RST, as from any host (RFC 9293 3.10.7.1).  A kernel that
 * answers a SYN late learns from it that its client has gone. */
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
    int waits = flow->tcp.at == SYN_SENT;
    if (waits ? got->acknowledged != flow->tcp.next : got->sequence != flow->tcp.expected)
        return; /* of another connection (RFC 9293 3.10.7.3, RFC 5961 3.2) */
    if (flow->fate == UNDECIDED || flow->tcp.at == HALF_OPEN)
        flow_end(flow, FAILED, waits ? ECONNREFUSED : ECONNRESET);
    forget(flow);
}

/* The first SYN-ACK completes the handshake, unless the phase leaves it half open.  One that comes
 * again completes nothing: the flow waits until a phase goes on with it, and would otherwise be
 * served before that phase has begun it. */
static void take_syn_ack(struct trial *trial, const struct phase *phase, struct flow *flow,
                         const struct segment *got)
{
    int first = flow->tcp.at == SYN_SENT;
    if (got->acknowledged != flow->tcp.acknowledged + 1 && first) {
        refuse(got); /* of an older SYN (RFC 9293 3.10.7.3) */
        return;
    }
    if (first) {
        flow->tcp.at = HALF_OPEN;
        flow->tcp.acknowledged = got->acknowledged;
        flow->tcp.expected = got->sequence + 1;
        flow->tcp.due = 0;
    } else if (flow->tcp.at != HALF_OPEN) {
        flow->tcp.owes = 1; /* the server has not seen the ACK: send it again */
        return;
    }
    flow->tcp.answers++;
    if (phase->half_open > 0)
        tcp_hold(phase, flow);
    else if (first)
        establish(trial, flow);
}

static void take_acknowledgement(struct flow *flow, const struct segment *got)
{
    uint32_t more = got->acknowledged - flow->tcp.acknowledged;
    if ((got->flags & ACK) == 0 || more == 0 || more > flow->tcp.next - flow->tcp.acknowledged)
        return;
    flow->tcp.acknowledged = got->acknowledged;
    if (flow->tcp.acknowledged == flow->tcp.next)
        flow->tcp.due = 0;
}

static void take_bytes(struct trial *trial, struct flow *flow, const struct segment *got)
{
    int fin = (got->flags & FIN) != 0;
    if (got->length == 0 && !fin)
        return;
    flow->tcp.owes = 1;
    if (got->sequence != flow->tcp.expected)
        return; /* a repeat, or after a gap: the ACK says which byte comes next */
    flow->tcp.expected += (uint32_t)(got->length + fin);
    if (got->length > 0)
        flow_hear(trial, flow, got->payload, got->length);
    if (fin) {
        flow->tcp.theirs = 1;
        if (flow->fate == UNDECIDED)
            flow_end(flow, ENDED, 0);
    }
}

/* Answers the FIN of the server; the connection ends once both FINs are acknowledged. */
static void close_both(struct flow *flow)
{
    if (flow->tcp.theirs && flow->tcp.at == ESTABLISHED)
        say_end(flow);
    if (flow->tcp.owes)
        say(flow, ACK, flow->tcp.next, NULL, 0);
    flow->tcp.owes = 0;
    if (flow->tcp.theirs && flow->tcp.at == CLOSING
        && flow->tcp.acknowledged == flow->tcp.next)
        forget(flow);
}

static void take(struct trial *trial, const struct phase *phase, const struct segment *got)
{
    struct flow *flow = hosts.flows[got->target];
    if (flow == NULL || got->source != flow->tcp.target) {
        flow = NULL;
        refuse(got);
    } else if ((got->flags & RST) != 0) {
        take_reset(flow, got);
    } else if ((got->flags & (SYN | ACK)) == (SYN | ACK)) {
        take_syn_ack(trial, phase, flow, got);
    } else if (flow->tcp.at == ESTABLISHED || flow->tcp.at == CLOSING) {
        take_acknowledgement(flow, got);
        take_bytes(trial, flow, got);
        if (flow->fate == SERVED && !phase->keep)
            tcp_hang_up(flow);
    }
    if (flow != NULL && flow->tcp.at != CLOSED)
        close_both(flow);
}

void tcp_hear(struct trial *trial, const struct phase *phase)
{
    unsigned char packet[PACKET_ROOM];
    struct segment got;
    for (int i = 0; i < BURST && link_get(&got, packet) == 0; i++)
        take(trial, phase, &got);
}

/* What is not acknowledged is one segment. */
static void repeat(struct trial *trial, struct flow *flow, int64_t now)
{
    unsigned char request[REQUEST];
    trial->resends++;
    flow->tcp.due = now + ((int64_t)RTO << ++flow->tcp.tries);
    if (flow->tcp.at == SYN_SENT) {
        say(flow, SYN, flow->tcp.acknowledged, NULL, 0);
    } else if (flow->tcp.at == CLOSING) {
        say(flow, FIN | ACK, flow->tcp.next - 1, NULL, 0);
    } else if (flow->tcp.at == ESTABLISHED) {
        request_write(trial, flow->number, request);
        say(flow, ACK | PSH, flow->tcp.acknowledged, request, sizeof request);
    }
}

/* Flows that are done may still be closing: they are repeated, too. */
void tcp_repeat(struct trial *trial, const struct phase *phase)
{
    int64_t now = clock_ms();
    if (now - hosts.swept < SWEEP)
        return;
    hosts.swept = now;
    for (int i = 0; i < phase->started; i++) {
        struct flow *flow = &phase->flows[i];
        if (flow->tcp.due == 0 || now < flow->tcp.due)
            continue;
        if (flow->tcp.tries < TRIES)
            repeat(trial, flow, now);
        else
            forget(flow);
    }
}
