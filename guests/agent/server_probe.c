/* A keeper asks its own server, to know when it answers. */
#include "server_probe.h"

#include "caller.h"
#include "clock.h"
#include "flow.h"
#include "keeper.h"
#include "plan.h"

#include <stdint.h>
#include <string.h>

/* LONGEST: ms for one connection: the next may reach another worker.  A datagram that a full buffer
 * has dropped is never answered: one has a part of the time that the first answer may take, which is
 * 10 s on a fast host. */
enum { LONGEST = 2000, PARTS = 40 };

static struct caller caller;

void server_probe(struct keeper *keeper, struct flow *flow, int ms)
{
    int longest = keeper->dialogue.datagrams ? keeper->plan->ready / PARTS : LONGEST;
    int64_t now = clock_ms(), until = now + (ms < longest ? ms : longest);
    memset(flow, 0, sizeof *flow);
    memset(&caller, 0, sizeof caller);
    caller.dialogue = &keeper->dialogue;
    caller_begin(keeper->trial, &caller, flow);
    while (flow->fate == UNDECIDED && (now = clock_ms()) < until)
        if (keeper_wait(keeper, flow->fd, caller_events(&caller, flow), (int)(until - now)))
            caller_turn(&caller, flow);
    caller_end(flow);
}

void server_answered(char *into, size_t size)
{
    size_t count = caller.heard < size - 1 ? caller.heard : size - 1;
    for (size_t i = 0; i < count; i++)
        into[i] = caller.bytes[i] == '\0' ? '?' : caller.bytes[i];
    into[count] = '\0';
}
