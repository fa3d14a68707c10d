/* Members retire under a steady stream of new connections, one after the other, and come back:
 * is any connection lost on the way out? */
#include "agent.h"

#include <errno.h>
#include <unistd.h>

/* ROOM: flows without a fate at once, at most.  A small guest has few descriptors, and a kernel that
 * strands a queue at each retirement would need one for every flow in it.
 * GAP: flows that begin between two steps of a retirement.  How often the stream meets the moment
 * between the last accept() and close() is the scheduler's doing, and on one CPU it all but never
 * does; a gap of so many flows there, which any process may be held up for, is met every time.
 * APART: flows from one change to the next, at least: two gaps, and as many flows with all members
 * in their places. */
enum { CALM = 200, ROOM = 512, GAP = 16, STEPS = 3, APART = 2 * (STEPS - 1) * GAP };

struct step {
    int member;
    enum operation operation;
};

/* A change is a retirement, or the coming back after it; it takes a few steps. */
struct draining {
    struct phase phase;
    int change;         /* how many are done */
    int since;          /* flows that had begun when the last one was */
    int next;           /* flows that are to have begun at the next step */
    int member, sibling;
    struct step steps[STEPS];
    int step, step_count;
    long exposed;       /* flows that began between the steps of a retirement */
};

static int is_back(const struct draining *draining)
{
    return draining->change % 2;
}

/* Changes come at even distances in the stream, with some of it before the first, after the last. */
static int due(const struct trial *trial, int change)
{
    return (int)((long)(change + 1) * trial->question->flows / (2 * trial->question->rounds + 1));
}

/* In turn, but nobody whom the stream does not reach: that would lose nothing on any kernel. */
static void choose(struct trial *trial, struct draining *draining)
{
    const struct phase *phase = &draining->phase;
    int listeners = trial->question->listeners;
    draining->member = busiest(trial, phase->flows + draining->since,
                               phase->started - draining->since,
                               draining->change / 2 % listeners);
    draining->sibling = (draining->member + 1) % listeners;
}

static void add_step(struct draining *draining, int member, enum operation operation)
{
    draining->steps[draining->step_count++] = (struct step){ member, operation };
}

static void plan(const struct trial *trial, struct draining *draining)
{
    int back = is_back(draining), way = trial->question->way;
    int member = draining->member, sibling = draining->sibling;
    draining->step = draining->step_count = 0;
    if (way == BY_PASS) {
        add_step(draining, back ? sibling : member, HAND_OVER);
        add_step(draining, back ? member : sibling, RECEIVE);
        add_step(draining, back ? sibling : member, DROP);
    } else if (back && way == BY_INHERIT) {
        add_step(draining, member, RECLAIM);
    } else if (back) {
        add_step(draining, member, BIND);
        add_step(draining, member, LISTEN);
    } else {
        add_step(draining, member, way == BY_INHERIT ? BEQUEATH : PAUSE);
        if (way != BY_INHERIT)
            add_step(draining, member, RETIRE);
        add_step(draining, member, DROP);
    }
}

/* The stream stands still for the step alone, so that as many flows meet each gap on any CPUs. */
static void tell(struct trial *trial, struct draining *draining)
{
    struct step step = draining->steps[draining->step];
    member_send(trial, step.member, step.operation, trial->option, 0);
    draining->phase.watched = trial->members[step.member].control;
    draining->phase.pause = 1;
}

static void end_change(struct trial *trial, struct draining *draining, struct outcome outcome)
{
    struct phase *phase = &draining->phase;
    emit_change(trial, is_back(draining) ? "back" : way_name(trial->question->way),
                draining->member, outcome.call != NULL ? outcome.error : 0);
    draining->change++;
    draining->since = phase->started;
    draining->step = draining->step_count = 0;
    draining->next = due(trial, draining->change);
    if (outcome.call != NULL || draining->change == 2 * trial->question->rounds) {
        phase->watch = NULL;
        phase->begun = NULL;
        phase->hold = phase->pause = 0;
    }
}

/* What the kernel refuses is an answer, and the last change: the stream runs out without more.
 * Who comes back does so at once: what a socket between bind() and listen() does to a flow is not
 * asked here (`bound-only` does). */
static void told(struct trial *trial, struct draining *draining)
{
    struct phase *phase = &draining->phase;
    struct outcome outcome = member_hear(trial, draining->steps[draining->step].member);
    phase->watched = 0;
    if (outcome.call != NULL || ++draining->step == draining->step_count) {
        end_change(trial, draining, outcome);
    } else if (is_back(draining)) {
        tell(trial, draining);
    } else {
        draining->next = phase->started + GAP;
    }
}

static int undecided(const struct phase *phase)
{
    int count = 0;
    for (int i = phase->settled; i < phase->started; i++)
        count += phase->flows[i].fate == UNDECIDED;
    return count;
}

/* Between two flows that begin: those before are still on their way to whom the step is about. */
static void step_when_due(struct trial *trial, struct phase *phase)
{
    struct draining *draining = (struct draining *)(void *)phase; /* its first member */
    if (phase->started < draining->next)
        return;
    if (draining->step_count == 0) {
        if (!is_back(draining))
            choose(trial, draining);
        plan(trial, draining);
    } else {
        draining->exposed += phase->started - draining->next + GAP;
    }
    tell(trial, draining);
}

static void watch_changes(struct trial *trial, struct phase *phase)
{
    struct draining *draining = (struct draining *)(void *)phase; /* its first member */
    if (phase->watched != 0 && phase->heard)
        told(trial, draining);
    if (phase->watch != NULL)
        phase->pause = phase->watched != 0 || undecided(phase) >= ROOM;
}

static void stream(struct trial *trial)
{
    int count = trial->question->flows;
    struct draining draining = { .phase = { .name = "stream", .flows = flows_new(trial, count),
                                            .count = count, .hold = 1, .watch = watch_changes,
                                            .begun = step_when_due },
                                 .next = due(trial, 0) };
    phase_run(trial, &draining.phase);
    flows_end(draining.phase.flows, count);
    emit_fact("exposed", draining.exposed);
}

void drain(struct trial *trial)
{
    int count = trial->question->flows, listeners = trial->question->listeners;
    if (listeners < 2 || count / (2 * trial->question->rounds + 1) < APART)
        unsupported(trial, "a sibling is needed, and %d flows between two changes", APART);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, trial->handover) != 0)
        broken("socketpair: %s", errno_name(errno));
    reserve_port(trial);
    need_descriptors(trial, ROOM + WINDOW);
    members_fork(trial, listeners);
    trial->indexes = listeners + 1; /* who inherits has an index of its own */
    close(trial->handover[0]);
    close(trial->handover[1]);
    if (members_stand(trial, listeners) != 0)
        return;
    struct flow *flows = flows_new(trial, CALM);
    flows_serve(trial, "calm", flows, CALM);
    flows_end(flows, CALM);
    stream(trial);
    emit_fact("drained", trial->drained);
}
