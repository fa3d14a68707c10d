/* `failure-handshake`: a member fails, or joins, between the SYN-ACK and the final ACK; what becomes
 * of the connection?  Between two sockets a handshake completes by itself, so the clients are hosts
 * behind a tun device, which can hold the ACK back (docs/traps.md, trap 11). */
#include "scenarios.h"

#include "client.h"
#include "clock.h"
#include "flow.h"
#include "flows.h"
#include "group.h"
#include "members.h"
#include "phase.h"
#include "question.h"
#include "rounds.h"
#include "trial.h"
#include "unsupported.h"
#include "victim.h"

#include <stddef.h>

/* ms.  SYN_WAIT: for a SYN-ACK; one SYN that is lost must not make the other handshakes of its round
 * old.  HELD: how long each is held at least, so that the control's are held as long as those of the
 * failure.  REPEAT_WAIT: for a SYN-ACK that comes again, after 1 s on most systems, 3 s on others.
 * SPARE: how much later than the control's it may come.  PATIENCE: for what becomes of a flow; what
 * is lost was sent again twice by then.  TIRED: the same, once half of the question's time is over.
 * LATE: how old a handshake may be when its ACK comes; a SYN-ACK comes again after 1000.
 * ACKS: their answers fit the queue of any tun device. */
enum {
    SYN_WAIT = 500, HELD = 50, REPEAT_WAIT = 7000, SPARE = 150, PATIENCE = 3500, TIRED = 500,
    LATE = 700, ACKS = 16
};

static void hold_back(struct trial *trial, struct flow *flows, int count)
{
    struct phase phase = { .name = "held", .flows = flows, .count = count, .handshake = 1 };
    phase.half_open = trial->question->acknowledgement == AFTER_REPEAT ? 2 : 1;
    phase_run(trial, &phase);
}

/* After listen(fd, 0) an accept queue holds one or two connections.  More ACKs at a time would
 * overflow it, and the loss would look like the kernel's choice. */
static void complete(struct trial *trial, struct flow *flows, int count)
{
    struct phase phase = { .name = "fates", .flows = flows, .count = count, .resume = 1 };
    phase.window = trial->question->failure == RELISTEN_ZERO;
    phase_run(trial, &phase);
}

/* All handshakes at once, and no control. */
static void at_once(struct trial *trial)
{
    int count = trial->question->flows;
    if (trial->question->change != LEAVE)
        unsupported(trial, "nobody joins without rounds: ask with round");
    struct flow *flows = group_stands(trial, 0);
    if (flows == NULL)
        return;
    flows_serve(trial, "home", flows, count);
    int fails = victim(trial, flows, count);
    hold_back(trial, flows, count);
    member_fail(trial, fails, trial->question->failure);
    complete(trial, flows, count);
    flows_end(trial, flows, count);
}

/* In the order in which they are said. */
enum { HOME, CONTROL_HELD, CONTROL_REPEATED, CONTROL, HELD_BACK, REPEATED, FATES, PHASES };

static const char *const names[PHASES] = {
    "home", "control-held", "control-repeated", "control", "held", "repeated", "fates"
};

static int patience(const struct trial *trial)
{
    int64_t passed = clock_ms() - trial->began;
    return passed * 2 < (int64_t)trial->question->alarm * 1000 ? PATIENCE : TIRED;
}

static void serve(struct trial *trial, struct rounds *rounds)
{
    struct phase phase = { .flows = rounds->flows, .count = rounds->count,
                           .deadline = patience(trial) };
    phase_run(trial, &phase);
    rounds_keep(rounds, HOME);
}

/* A flow without a SYN-ACK is over: one that comes later would find the others gone. */
static void hold_in_round(struct trial *trial, struct rounds *rounds, int which)
{
    struct phase phase = { .flows = rounds->flows, .count = rounds->count, .handshake = 1,
                           .half_open = 1, .deadline = SYN_WAIT };
    phase_run(trial, &phase);
    rounds_keep(rounds, which);
    for (int i = 0; i < rounds->count; i++)
        if (rounds->flows[i].fate != LEFT_OPEN) {
            trial->client->hang_up(&rounds->flows[i]);
            rounds->flows[i].state = DONE;
        }
}

/* Until each SYN-ACK has come again, or so many ms have passed since the first SYN. */
static void hold_on(struct trial *trial, struct rounds *rounds, int which, int64_t since, int ms)
{
    struct phase phase = { .flows = rounds->flows, .count = rounds->count, .handshake = 1,
                           .resume = 1, .half_open = 2, .window = rounds->count };
    int64_t left = since + ms - clock_ms();
    phase.deadline = left > 1 ? (int)left : 1;
    phase_run(trial, &phase);
    rounds_keep(rounds, which);
}

/* Nothing may be left unread meanwhile. */
static void hold_for(struct trial *trial, struct rounds *rounds, int64_t since, int ms)
{
    struct phase phase = { .flows = rounds->flows, .count = rounds->count, .handshake = 1,
                           .half_open = 1 };
    int64_t left;
    phase.started = phase.settled = rounds->count;
    while ((left = since + ms - clock_ms()) > 0)
        trial->client->turn(trial, &phase, 0, UNDECIDED, (int)left);
}

static void complete_in_round(struct trial *trial, struct rounds *rounds, int which)
{
    struct phase phase = { .flows = rounds->flows, .count = rounds->count, .resume = 1,
                           .deadline = patience(trial) };
    phase.window = trial->backlog < 1 ? 1 : trial->backlog < ACKS ? trial->backlog : ACKS;
    if (trial->question->failure == RELISTEN_ZERO)
        phase.window = 1;
    phase_run(trial, &phase);
    rounds_keep(rounds, which);
}

/* Nobody fails: what is lost here, the guest has lost.  Returns for how long after the first SYN the
 * SYN-ACKs came again. */
static int control(struct trial *trial, struct rounds *rounds)
{
    int64_t since = clock_ms();
    int waited = 0;
    hold_in_round(trial, rounds, CONTROL_HELD);
    if (trial->question->acknowledgement == AFTER_REPEAT) {
        hold_on(trial, rounds, CONTROL_REPEATED, since, REPEAT_WAIT);
        waited = (int)(clock_ms() - since);
    } else {
        hold_for(trial, rounds, clock_ms(), HELD);
    }
    complete_in_round(trial, rounds, CONTROL);
    return waited;
}

/* A newcomer; -1 if it is refused in the first round, which is said. */
static int join(struct trial *trial, struct rounds *rounds, int index, const char *what)
{
    if (rounds->number > 0 || rounds->again > 0) {
        struct outcome outcome = member_stand_again(trial, index);
        rounds_change(rounds, what, outcome.call == NO_CALL ? 0 : outcome.error);
        return 0;
    }
    rounds_change(rounds, what, 0);
    return member_stand(trial, index);
}

/* As many members join as there are, and then the old ones leave. */
static int replace(struct trial *trial, struct rounds *rounds)
{
    int count = trial->question->listeners, error = 0;
    for (int i = 0; i < count; i++)
        if (join(trial, rounds, count + i, "replace") != 0)
            return -1;
    for (int i = 0; i < count && error == 0; i++)
        error = member_fail_quietly(trial, i, trial->question->failure);
    if (error != 0)
        rounds_change(rounds, "replace", error);
    return 0;
}

/* -1 if a newcomer is refused, which is said. */
static int change(struct trial *trial, struct rounds *rounds)
{
    const struct question *question = trial->question;
    if (question->change == JOIN)
        return join(trial, rounds, rounds->changed, "join");
    if (question->change == REPLACE)
        return replace(trial, rounds);
    int error = member_fail_quietly(trial, rounds->changed, question->failure);
    rounds_change(rounds, failure_name(question->failure), error);
    return 0;
}

/* The newcomers of each round. */
static int spare(struct trial *trial)
{
    int count = trial->question->listeners;
    if (trial->question->change == REPLACE && 2 * count > MAX_MEMBERS)
        unsupported(trial, "%d members at once are too many", 2 * count);
    return trial->question->change == REPLACE ? count : trial->question->change == JOIN;
}

/* Who is said to change: the newcomer, the first of those that are replaced, or the victim. */
static int changed(struct trial *trial, const struct rounds *rounds)
{
    if (trial->question->change == JOIN)
        return trial->question->listeners;
    return trial->question->change == REPLACE ? 0 : victim(trial, rounds->flows, rounds->count);
}

static int play(struct trial *trial, struct rounds *rounds)
{
    serve(trial, rounds);
    if (rounds->changed < 0)
        rounds->changed = changed(trial, rounds);
    int waited = control(trial, rounds);
    int64_t since = clock_ms();
    hold_in_round(trial, rounds, HELD_BACK);
    int64_t all = clock_ms();
    if (change(trial, rounds) != 0)
        return -1;
    if (trial->question->acknowledgement == AFTER_REPEAT)
        hold_on(trial, rounds, REPEATED, since, waited + SPARE);
    else
        hold_for(trial, rounds, all, HELD);
    complete_in_round(trial, rounds, FATES);
    return 0;
}

/* Whether the guest was so slow in this round that time may have decided. */
static int late(const struct trial *trial, const struct rounds *rounds)
{
    return trial->question->acknowledgement == AT_ONCE
        && rounds_longest(rounds, HELD_BACK, FATES) > LATE;
}

static void say(const struct trial *trial, const struct rounds *rounds)
{
    int repeats = trial->question->acknowledgement == AFTER_REPEAT;
    for (int i = 0; i < PHASES; i++)
        if (repeats || (i != CONTROL_REPEATED && i != REPEATED))
            rounds_say_flows(trial, rounds, i, names[i]);
    rounds_say_changes(trial, rounds);
}

static void in_rounds(struct trial *trial)
{
    int next = 1;
    if (trial->question->change == RESTART)
        unsupported(trial, "a member leaves or joins here, and does not come back");
    struct flow *flows = group_stands(trial, spare(trial));
    if (flows == NULL)
        return;
    struct rounds rounds = rounds_of(trial, flows, PHASES, spare(trial));
    while (next > 0)
        next = play(trial, &rounds) == 0 ? rounds_next(trial, &rounds, late(trial, &rounds)) : -1;
    if (next == 0)
        say(trial, &rounds);
    rounds_end(&rounds);
    flows_end(trial, flows, trial->question->flows);
}

void failure_handshake(struct trial *trial)
{
    if (trial->question->round > 0)
        in_rounds(trial);
    else
        at_once(trial);
}
