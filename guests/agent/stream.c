/* A stream of new connections, each of which asks a server of a plan once.
 *
 * With a rate it is an open loop: the clock says when a flow begins, and a server that is slow does
 * not get fewer of them.  Only this process itself may hold them up: when it did not get the CPU,
 * or has no more places, the schedule moves on, rather than to make a burst of what it missed. */
#include "stream.h"

#include "caller.h"
#include "clock.h"
#include "flow.h"
#include "trial.h"
#include "unsupported.h"

#include <stdlib.h>
#include <string.h>

enum {
    DEADLINE = 5000, /* ms */
    LATE = 10,       /* ms of the schedule that may be made up for at once */
    SLICE = 20       /* ms that poll() waits, at most: `before` has its own times */
};

static void open_stream(struct trial *trial, struct stream *stream)
{
    size_t most = UNDER_WAY;
    stream->polls = calloc(most + STREAM_EXTRAS, sizeof *stream->polls);
    stream->places = calloc(most, sizeof *stream->places);
    stream->owners = calloc(most, sizeof *stream->owners);
    stream->callers = malloc(most * sizeof *stream->callers);
    if (stream->polls == NULL || stream->places == NULL || stream->owners == NULL
        || stream->callers == NULL)
        short_of(trial, "memory for %d connections", UNDER_WAY);
    for (int i = 0; i < UNDER_WAY; i++)
        stream->places[i] = i;
    stream->began = clock_ms();
}

static void close_stream(struct stream *stream)
{
    free(stream->polls);
    free(stream->places);
    free(stream->owners);
    free(stream->callers);
}

static struct pollfd *own_polls(struct stream *stream)
{
    return stream->polls + stream->extras;
}

static struct caller *caller_at(struct stream *stream, int place)
{
    return &stream->callers[stream->places[place]];
}

static struct flow *flow_at(struct stream *stream, int place)
{
    return &stream->flows[stream->owners[place]];
}

/* The last one takes the place of one that is over. */
static void release(struct stream *stream, int place)
{
    int last = --stream->under_way, caller = stream->places[place];
    caller_end(flow_at(stream, place));
    stream->owners[place] = stream->owners[last];
    stream->places[place] = stream->places[last];
    stream->places[last] = caller;
    own_polls(stream)[place] = own_polls(stream)[last];
}

static void begin_one(struct trial *trial, struct stream *stream)
{
    int place = stream->under_way++;
    struct caller *caller = caller_at(stream, place);
    stream->owners[place] = stream->started;
    caller->dialogue = stream->dialogue;
    caller->kept = 0;
    caller_begin(trial, caller, &stream->flows[stream->started++]);
    own_polls(stream)[place].revents = 0;
    if (flow_at(stream, place)->fate != UNDECIDED)
        release(stream, place);
}

/* How many flows the schedule has begun by now; it slips if they are too many. */
static int due(struct stream *stream, int64_t now)
{
    if (stream->window > 0)
        return stream->started + stream->window - stream->under_way;
    int64_t since = now - stream->began - stream->slipped;
    int64_t behind = since - (int64_t)stream->started * 1000 / stream->rate;
    if (behind > LATE + 1000 / stream->rate) {
        stream->slipped += behind - LATE;
        since -= behind - LATE;
    }
    return (int)(since * stream->rate / 1000) + 1;
}

static void begin_some(struct trial *trial, struct stream *stream)
{
    int64_t now = clock_ms();
    if (stream->until > 0 && now >= stream->until)
        stream->count = stream->started;
    if (stream->started == stream->count)
        return;
    int until = due(stream, now);
    if (until > stream->count)
        until = stream->count;
    while (stream->started < until && stream->under_way < UNDER_WAY)
        begin_one(trial, stream);
}

/* All flows have the same time, so those that began first are late first. */
static void end_late(struct stream *stream)
{
    int64_t now = clock_ms();
    int late = 0;
    while (stream->settled < stream->started
           && stream->flows[stream->settled].fate != UNDECIDED)
        stream->settled++;
    late = stream->settled < stream->started
        && now - stream->flows[stream->settled].started >= DEADLINE;
    for (int i = stream->under_way - 1; late && i >= 0; i--)
        if (now - flow_at(stream, i)->started >= DEADLINE) {
            caller_late(caller_at(stream, i), flow_at(stream, i));
            release(stream, i);
        }
}

static int wait_for(const struct stream *stream)
{
    if (stream->window > 0 || stream->started == stream->count)
        return SLICE;
    int64_t next = stream->began + stream->slipped
        + ((int64_t)stream->started * 1000 + stream->rate - 1) / stream->rate;
    int64_t rest = next - clock_ms();
    return rest < 1 ? 1 : rest > SLICE ? SLICE : (int)rest;
}

static void turn(struct trial *trial, struct stream *stream)
{
    struct pollfd *own = own_polls(stream);
    for (int i = 0; i < stream->under_way; i++)
        own[i] = (struct pollfd){ .fd = flow_at(stream, i)->fd,
                                  .events = caller_events(caller_at(stream, i),
                                                          flow_at(stream, i)) };
    memcpy(stream->polls, stream->extra, (size_t)stream->extras * sizeof *stream->polls);
    int ready = poll(stream->polls, (nfds_t)(stream->extras + stream->under_way),
                     wait_for(stream));
    for (int i = 0; i < stream->extras; i++)
        stream->extra[i].revents = ready > 0 ? stream->polls[i].revents : 0;
    for (int i = stream->under_way - 1; ready > 0 && i >= 0; i--) {
        if (own[i].revents == 0)
            continue;
        caller_turn(caller_at(stream, i), flow_at(stream, i));
        if (flow_at(stream, i)->fate != UNDECIDED)
            release(stream, i);
    }
    end_late(stream);
    if (stream->after != NULL)
        stream->after(trial, stream);
}

void stream_run(struct trial *trial, struct stream *stream)
{
    open_stream(trial, stream);
    do {
        if (stream->before != NULL)
            stream->before(trial, stream);
        begin_some(trial, stream);
        turn(trial, stream);
    } while (stream->started < stream->count || stream->under_way > 0 || stream->hold);
    close_stream(stream);
}
