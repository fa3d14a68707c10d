/* Clients behind a tun device (`peer=tun`): hosts that this process plays packet by packet, so that
 * it can hold an ACK back and never runs out of ports. */
#include "tun_client.h"

#include "clock.h"
#include "ending.h"
#include "errno_name.h"
#include "flow.h"
#include "phase.h"
#include "trial.h"
#include "tun_link.h"
#include "tun_tcp.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>

/* WAY: each flow under way has two packets in the device's queue at most, and the shortest queue
 * known holds 50 (freebsd: net.link.ifqmaxlen).  YOUNG: longer than a SYN takes that is sent again
 * (RFC 6298 2.1), so that a slow guest has no more flows under way than a fast one. */
enum {
    TURN = 10,      /* ms, the longest wait: segments may have to be sent again */
    HANG_UP = 1000, /* ms, the longest wait for both ends of what was closed */
    WAY = 20,
    YOUNG = 1500
};

static int start(struct trial *trial, const struct phase *phase, struct flow *flow,
                 uint32_t number)
{
    (void)phase;
    return tcp_start(trial, flow, number);
}

static void resume(struct trial *trial, const struct phase *phase, struct flow *flow)
{
    flow_resume(flow);
    if (phase->half_open > 0)
        tcp_hold(phase, flow);
    else
        tcp_complete(trial, flow);
}

/* All flows share one wire: whatever comes is heard. */
static void turn(struct trial *trial, struct phase *phase, int first, enum fate fate, int wait)
{
    (void)first, (void)fate;
    struct pollfd polls[2] = {
        { .fd = phase->watched > 0 ? phase->watched : -1, .events = POLLIN },
        { .fd = link_descriptor(), .events = POLLIN }
    };
    if (poll(polls, 2, wait < TURN ? wait : TURN) < 0 && errno != EINTR)
        broken("poll: %s", errno_name(errno));
    phase_turned(trial, phase, polls[0].revents);
    tcp_hear(trial, phase);
    tcp_repeat(trial, phase);
}

/* A listener must not meet the rest of a teardown in the next phase. */
static void hung_up(struct trial *trial, struct phase *phase)
{
    int64_t until = clock_ms() + HANG_UP;
    for (int i = 0; i < phase->started; i++)
        while (phase->flows[i].tcp.at == CLOSING && clock_ms() < until)
            turn(trial, phase, 0, UNDECIDED, TURN);
}

/* It cannot echo, and few resume at once: the wire holds few packets. */
const struct client tun_client = {
    .open = link_open, .leave = link_leave, .close = link_close, .start = start, .resume = resume,
    .echo = NULL, .turn = turn, .unheard = tcp_unheard, .hang_up = tcp_hang_up,
    .hung_up = hung_up, .closing = tcp_closing, .window = WAY, .young = YOUNG, .sockets = 0,
    .all_at_once = 0
};
