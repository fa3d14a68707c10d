/* `restart`: a server that people run is restarted under a stream of new connections.  What does
 * that lose? */
#include "scenarios.h"

#include "clock.h"
#include "dialogue.h"
#include "emit.h"
#include "flow.h"
#include "flows.h"
#include "kept.h"
#include "limits.h"
#include "plan.h"
#include "ports.h"
#include "question.h"
#include "restarting.h"
#include "server.h"
#include "stream.h"
#include "trial.h"
#include "unsupported.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* APART: ms from the end of a restart to the next.  AFTERWARDS: ms that the stream goes on after the
 * last one. */
enum { LEAST_CONTROL = 100, MOST_CONTROL = 2000, CONTROL_SPAN = 5, APART = 50, AFTERWARDS = 300,
       LAST_WORDS = 1000, MOST_GENERATIONS = 60 };

static int least(int a, int b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int lost(const struct flow *flows, int count)
{
    int found = 0;
    for (int i = 0; i < count; i++)
        found += flows[i].fate != SERVED;
    return found;
}

static int run(struct trial *trial, struct restarting *restarting, struct stream *stream,
               const char *name)
{
    stream->dialogue = &restarting->dialogue;
    stream->rate = restarting->rate;
    stream->flows = flows_new(trial, stream->count + stream->reserve);
    stream_run(trial, stream);
    emit_flows(trial, name, stream->flows, stream->count, 0);
    int losses = lost(stream->flows, stream->count);
    free(stream->flows);
    restarting->slipped += stream->slipped;
    return losses;
}

static int control(struct trial *trial, struct restarting *restarting)
{
    int tenth = least(least(trial->question->flows / 10, MOST_CONTROL),
                      restarting->rate * CONTROL_SPAN);
    int count = tenth < LEAST_CONTROL ? LEAST_CONTROL : tenth;
    struct stream stream = { .count = restarting->over ? 0 : count };
    return run(trial, restarting, &stream, "control");
}

/* Each makes some new generations, and there are no more than can be told apart. */
static int may_restart(const struct trial *trial, const struct restarting *restarting)
{
    int each = 0;
    for (int i = 0; i < restarting->plan.way.count; i++)
        each += restarting->plan.way.steps[i].kind == STEP_WRITE;
    return restarting->made < trial->question->rounds
        && (restarting->made + 2) * each <= MOST_GENERATIONS;
}

/* Flows that last for one restart. */
static int64_t needed(const struct restarting *restarting)
{
    return restart_longest(restarting) * restarting->rate / 1000;
}

static int covers(const struct trial *trial, const struct restarting *restarting,
                  const struct stream *stream)
{
    return trial->question->flows - stream->started >= needed(restarting);
}

/* The restarts begin at even distances, the last one so early that the flows last for it; but none
 * before the last one has ended. */
static int due(const struct trial *trial, const struct restarting *restarting,
               const struct stream *stream)
{
    int64_t spare = (int64_t)restarting->rate * 2 * APART / 1000, rounds = trial->question->rounds;
    int64_t room = restarting->flows - needed(restarting) - spare;
    int64_t share = rounds > 1 ? restarting->made * room / (rounds - 1) : 0;
    return stream->started >= share && clock_ms() >= restarting->rested + APART;
}

static void begin_restart(struct trial *trial, struct restarting *restarting,
                          const struct stream *stream)
{
    int late = stream->started >= restarting->flows || !covers(trial, restarting, stream);
    if (restarting->busy || restarting->over || !may_restart(trial, restarting)
        || !due(trial, restarting, stream) || (late && restarting->made >= AT_LEAST))
        return;
    restarting->made++;
    restarting->busy = 1;
    server_tell(SERVER_RESTART);
    emit_change(trial, "restart", restarting->made, 0);
}

/* A slow server gets fewer flows than were asked for, but not before it was restarted twice.  Up to
 * as many more begin while a restart takes longer than any before it. */
static void restart_when_due(struct trial *trial, struct stream *stream)
{
    struct restarting *restarting = stream->watcher;
    if (stream->started < stream->count)
        begin_restart(trial, restarting, stream);
    int enough = restarting->made >= AT_LEAST || !may_restart(trial, restarting);
    if (stream->started == stream->count && (restarting->busy || !enough)) {
        stream->count += stream->reserve;
        stream->reserve = 0;
    }
    if (enough && !restarting->busy && stream->started >= restarting->flows && stream->until == 0)
        stream->until = most(clock_ms(), restarting->rested + AFTERWARDS);
    restarting->kept.finishing = !restarting->busy && stream->started == stream->count
        && stream->under_way == 0;
    stream->extra[0] = (struct pollfd){ .fd = restarting->channel, .events = POLLIN };
    kept_begin_some(trial, &restarting->kept, stream->extra + 1);
    stream->hold = restarting->busy || kept_waiting(&restarting->kept) > 0;
}

/* After a step that failed the stream says a little longer what the server does then. */
static void hear_restart(struct trial *trial, struct stream *stream)
{
    struct restarting *restarting = stream->watcher;
    kept_turn(&restarting->kept, stream->extra + 1);
    if (stream->extra[0].revents == 0)
        return;
    server_hear_news(&restarting->news);
    restarting->busy = 0;
    restarting->rested = clock_ms();
    restarting->uncovered |= stream->started == stream->count;
    int failed = restarting->news.outcome.error != 0;
    emit_change(trial, failed ? "given-up" : "restarted", restarting->made, 0);
    if (failed) {
        restarting->over = 1;
        stream->until = clock_ms() + LAST_WORDS;
    }
}

static int restarts(struct trial *trial, struct restarting *restarting)
{
    int flows = restarting->over ? 0 : trial->question->flows;
    struct stream stream = { .count = flows, .reserve = flows, .watcher = restarting,
                             .before = restart_when_due, .after = hear_restart };
    kept_open(trial, &restarting->kept, &restarting->dialogue);
    stream.extras = 1 + restarting->kept.count;
    restarting->flows = least(flows, restarting->rate * trial->question->span);
    int losses = run(trial, restarting, &stream, "restarts");
    return losses + kept_close(trial, &restarting->kept);
}

static int start(struct restarting *restarting)
{
    struct server_news *news = &restarting->news;
    server_tell(SERVER_START);
    server_hear_news(news);
    emit_attempt("start", news->outcome);
    if (news->outcome.call == NO_CALL)
        return 0;
    if (news->answer[0] != '\0')
        emit_fact_text("answer", news->answer);
    if (news->said[0] != '\0')
        emit_fact_text("said", news->said);
    return -1;
}

static void stop(struct restarting *restarting, int losses)
{
    struct server_news *news = &restarting->news;
    char failed[FAILED_STEP + 32] = "";
    if (news->step[0] != '\0' && restarting->made > 0)
        snprintf(failed, sizeof failed, "restart %d, %s", restarting->made, news->step);
    else if (news->step[0] != '\0')
        snprintf(failed, sizeof failed, "rehearsal, %s", news->step);
    server_tell(SERVER_STOP);
    server_hear_news(news);
    emit_fact("restarts", restarting->made);
    emit_fact("generations", restarting->plan.tells);
    if (restarting->uncovered)
        emit_fact("uncovered", 1);
    if (restarting->slipped > 0)
        emit_fact("slipped", restarting->slipped);
    if (news->left > 0)
        emit_fact("leftover", news->left);
    if (news->port_kept)
        emit_fact("port-kept", 1);
    if (failed[0] != '\0')
        emit_fact_text("failed", failed);
    if (news->step[0] != '\0')
        emit_fact_text("failed-stop", news->step);
    if ((losses > 0 || failed[0] != '\0' || news->step[0] != '\0') && news->said[0] != '\0')
        emit_fact_text("said", news->said);
}

/* What the plan asks of this guest. */
static void need_what_it_needs(struct trial *trial, const struct plan *plan)
{
    if (trial->question->rounds > MOST_GENERATIONS)
        unsupported(trial, "a server is restarted %d times at most", MOST_GENERATIONS);
    if (plan->unsupported != NULL)
        unsupported(trial, "%s", plan->unsupported);
    if (plan->needs_root && geteuid() != 0)
        unsupported(trial, "needs root: %s", trial->question->server);
}

void restart(struct trial *trial)
{
    static struct restarting restarting_one; /* too large for a stack */
    struct restarting *restarting = &restarting_one;
    if (trial->family != IPV4 || trial->question->server[0] == '\0'
        || trial->question->restart[0] == '\0')
        unsupported(trial, "a server, a way to restart it, and IPv4 are needed");
    plan_read(&restarting->plan, trial->question->server, trial->question->restart);
    need_what_it_needs(trial, &restarting->plan);
    dialogue_open(&restarting->dialogue, &restarting->plan);
    reserve_port(trial);
    restarting->channel = server_begin(trial, &restarting->plan);
    need_descriptors(trial, UNDER_WAY + MAX_KEPT);
    platform_take_turns(0); /* the server does not, either */
    if (start(restarting) == 0) {
        restart_choose_rate(trial, restarting);
        int losses = control(trial, restarting);
        losses += restarts(trial, restarting);
        stop(restarting, losses);
    }
    server_end();
}
