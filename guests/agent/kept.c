/* Connections to a server of a plan that are used again and again, while others come and go.
 *
 * A server may close one in order while nobody waits for an answer: HTTP/1.1 lets it, and the next
 * request goes by a new connection.  Any other end is a loss. */
#include "kept.h"

#include "caller.h"
#include "clock.h"
#include "emit.h"
#include "flow.h"
#include "flows.h"
#include "plan.h"
#include "trial.h"
#include "unsupported.h"

#include <stdlib.h>

enum { ASKING = 100, OPENING = 1000, DEADLINE = 5000 };

void kept_open(struct trial *trial, struct kept *kept, const struct dialogue *dialogue)
{
    int64_t now = clock_ms();
    kept->count = dialogue->datagrams || dialogue->plan->once ? 0 : trial->question->kept;
    kept->room = kept->count * (trial->question->rounds + 1);
    kept->now = flows_new(trial, kept->count + 1);
    kept->ended = flows_new(trial, kept->room + 1);
    kept->callers = calloc((size_t)kept->count + 1, sizeof *kept->callers);
    if (kept->callers == NULL)
        short_of(trial, "memory for %d connections", kept->count);
    for (int i = 0; i < kept->count; i++) {
        kept->callers[i].dialogue = dialogue;
        kept->callers[i].kept = 1;
        kept->next[i] = now + (int64_t)i * ASKING / kept->count;
    }
}

/* The rest of the room is for those that live to the end. */
static void keep_end(struct kept *kept, int i)
{
    struct flow *flow = &kept->now[i];
    caller_end(flow);
    if (kept->ended_count < kept->room)
        kept->ended[kept->ended_count++] = *flow;
    kept->next[i] = clock_ms() + OPENING;
    kept->waits[i] = 0;
}

/* The answer has come, or the connection is over. */
static void judge(struct kept *kept, int i)
{
    struct flow *flow = &kept->now[i];
    if (flow->fate == SERVED) {
        int64_t soon = clock_ms() + ASKING / 2; /* time to see that the server has closed it */
        kept->waits[i] = 0;
        kept->next[i] = kept->next[i] > soon ? kept->next[i] : soon;
    } else if (flow->fate != UNDECIDED) {
        keep_end(kept, i);
    }
}

static void begin(struct trial *trial, struct kept *kept, int i, int64_t now)
{
    struct flow *flow = &kept->now[i];
    kept->next[i] = now + ASKING;
    if (flow->fd >= 0) {
        kept->waits[i] = 1;
        caller_again(&kept->callers[i], flow);
    } else if (kept->ended_count + kept->count <= kept->room) {
        kept->waits[i] = 1;
        caller_begin(trial, &kept->callers[i], flow);
    }
    judge(kept, i);
}

void kept_begin_some(struct trial *trial, struct kept *kept, struct pollfd *polls)
{
    int64_t now = clock_ms();
    for (int i = 0; i < kept->count; i++) {
        struct flow *flow = &kept->now[i];
        if (!kept->waits[i] && !kept->finishing && now >= kept->next[i])
            begin(trial, kept, i, now);
        polls[i] = (struct pollfd){ .fd = flow->fd,
                                    .events = caller_events(&kept->callers[i], flow) };
    }
}

int kept_waiting(const struct kept *kept)
{
    int count = 0;
    for (int i = 0; i < kept->count; i++)
        count += kept->waits[i];
    return count;
}

/* Something comes though nothing was asked: its end, or bytes that nobody wants. */
static void look(struct kept *kept, int i)
{
    struct flow *flow = &kept->now[i];
    flow->fate = UNDECIDED;
    kept->callers[i].heard = 0;
    caller_turn(&kept->callers[i], flow);
    if (flow->fate == ENDED) {
        kept->closed++;
        caller_end(flow);
        flow->fate = SERVED;
    } else if (flow->fate == UNDECIDED) {
        flow->fate = SERVED;
    } else {
        judge(kept, i);
    }
}

void kept_turn(struct kept *kept, const struct pollfd *polls)
{
    int64_t now = clock_ms();
    for (int i = 0; i < kept->count; i++) {
        struct flow *flow = &kept->now[i];
        if (flow->fd < 0)
            continue;
        if (polls[i].revents != 0 && !kept->waits[i]) {
            look(kept, i);
        } else if (polls[i].revents != 0) {
            caller_turn(&kept->callers[i], flow);
            judge(kept, i);
        } else if (kept->waits[i] && now - (kept->next[i] - ASKING) >= DEADLINE) {
            caller_late(&kept->callers[i], flow);
            keep_end(kept, i);
        }
    }
}

/* A connection that was closed in order and not opened again lives on, too. */
static void take_living(struct kept *kept)
{
    int64_t now = clock_ms();
    for (int i = 0; i < kept->count; i++) {
        struct flow *flow = &kept->now[i];
        if (flow->fate == SERVED && flow->answers > 0 && kept->ended_count < kept->room) {
            flow->ended = now;
            kept->ended[kept->ended_count++] = *flow;
        }
        caller_end(flow);
    }
}

int kept_close(struct trial *trial, struct kept *kept)
{
    int losses = kept->ended_count;
    take_living(kept);
    emit_flows(trial, "kept", kept->ended, kept->ended_count, 0);
    if (kept->closed > 0)
        emit_fact("kept-closed", kept->closed);
    free(kept->now);
    free(kept->callers);
    free(kept->ended);
    return losses;
}
