/* How fast the clients of a server come that is restarted. */
#include "restarting.h"

#include "clock.h"
#include "emit.h"
#include "flow.h"
#include "flows.h"
#include "question.h"
#include "server.h"
#include "stream.h"
#include "trial.h"

#include <poll.h>
#include <stdlib.h>

/* CLOSED_LOOP: connections that measure what the server can do.  MANY: a question with more flows
 * than this takes its time.  TIMES, ROOM: a restart may take so many times as long as the rehearsal,
 * and so many ms more.  CALMING: ms after the rehearsal.  The others are flows per second. */
enum { CLOSED_LOOP = 16, WARMING = 200, QUICK = 500, THOROUGH = 1000, MANY = 10000,
       MOST_REHEARSED = 40000, TIMES = 3, ROOM = 400, CALMING = 200, SLOWEST = 5, FASTEST = 10000,
       FASTEST_LIGHT = FASTEST / 2 };

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* What it must be able to serve to get the fastest stream. */
static int ample(const struct trial *trial)
{
    return trial->question->traffic == HEAVY ? FASTEST / 4 * 5 : FASTEST_LIGHT * 5;
}

/* Flows per second, in so many ms; in less, if these are ample. */
static int measure(struct trial *trial, const struct dialogue *dialogue, int ms)
{
    int most = ample(trial) * ms / 1000;
    struct flow *flows = flows_new(trial, most);
    struct stream stream = { .dialogue = dialogue, .flows = flows, .count = most,
                             .window = CLOSED_LOOP, .until = clock_ms() + ms };
    int64_t began = clock_ms();
    stream_run(trial, &stream);
    int64_t took = clock_ms() - began;
    int served = 0;
    for (int i = 0; i < stream.count; i++)
        served += flows[i].fate == SERVED;
    free(flows);
    return (int)((int64_t)served * 1000 / (took > 0 ? took : 1));
}

static void wait_for_rehearsal(struct trial *trial, struct stream *stream)
{
    struct restarting *restarting = stream->watcher;
    (void)trial;
    stream->hold = restarting->busy;
    stream->extra[0] = (struct pollfd){ .fd = restarting->channel, .events = POLLIN };
}

static void hear_rehearsal(struct trial *trial, struct stream *stream)
{
    struct restarting *restarting = stream->watcher;
    (void)trial;
    if (stream->extra[0].revents == 0)
        return;
    server_hear_news(&restarting->news);
    restarting->busy = 0;
    restarting->over = restarting->news.outcome.error != 0;
    restarting->rehearsal = (int)(clock_ms() - stream->began);
    stream->until = clock_ms();
}

/* Restarts it once under this load and lets it calm down, to know how long that takes.  Nobody asks
 * what it loses. */
static void rehearse(struct trial *trial, struct restarting *restarting, int rate)
{
    struct flow *flows = flows_new(trial, MOST_REHEARSED);
    struct stream stream = { .dialogue = &restarting->dialogue, .flows = flows, .rate = rate,
                             .count = MOST_REHEARSED, .watcher = restarting, .extras = 1,
                             .before = wait_for_rehearsal, .after = hear_rehearsal };
    restarting->busy = 1;
    server_tell(SERVER_RESTART);
    stream_run(trial, &stream);
    free(flows);
    pause_ms(CALMING);
    emit_fact("rehearsal", restarting->rehearsal);
}

/* Restarts take longer the more there is to do meanwhile. */
int64_t restart_longest(const struct restarting *restarting)
{
    return TIMES * restarting->rehearsal + ROOM;
}

/* The stream asks for a part of what the server can do: not for more than lasts for two restarts. */
void restart_choose_rate(struct trial *trial, struct restarting *restarting)
{
    int heavy = trial->question->traffic == HEAVY, flows = trial->question->flows;
    measure(trial, &restarting->dialogue, WARMING);
    int capacity = measure(trial, &restarting->dialogue, flows > MANY ? THOROUGH : QUICK);
    emit_fact("capacity", capacity);
    int rate = heavy ? least(capacity / 5 * 4, FASTEST) : least(capacity / 5, FASTEST_LIGHT);
    rate = rate < SLOWEST ? SLOWEST : rate;
    rehearse(trial, restarting, rate / 2);
    rate = least(rate, (int)((int64_t)flows * 1000 / (AT_LEAST * restart_longest(restarting))));
    restarting->rate = rate < SLOWEST ? SLOWEST : rate;
    emit_fact("rate", restarting->rate);
}
