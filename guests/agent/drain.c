/* `drain`: under a steady stream of new connections members retire, one after the other or all at
 * once, and come back.  Is any connection lost? */
#include "scenarios.h"

#include "emit.h"
#include "ending.h"
#include "errno_name.h"
#include "flow.h"
#include "flows.h"
#include "limits.h"
#include "members.h"
#include "outcome.h"
#include "phase.h"
#include "ports.h"
#include "question.h"
#include "trial.h"
#include "unsupported.h"
#include "victim.h"

#include <errno.h>
#include <unistd.h>

/* ROOM: flows without a fate at once, at most.  A small guest has few descriptors, and a kernel
 * that strands a queue at each retirement leaves one open for each flow in it.
 * GAP: flows that begin between two steps of a retirement.  Without them only the scheduler decides
 * whether a flow comes between the last accept() and close(), and on one CPU hardly any does.  A
 * process may be held up that long at any moment.
 * APART: flows from one change to the next, at least: those of two gaps, and a few more, which show
 * that the group goes on.  After a return, these are enough to reach each of four members: a uniform
 * hash leaves one of them out once in 25000 times. */
enum { CALM = 200, ROOM = 512, GAP = 16, GAPS = 2, APART = GAPS * GAP + GAP / 2,
       STEPS = 5 * MAX_LISTENERS / 2 };

/* `after_gap`: flows begin before it. */
struct step {
    int member, after_gap;
    enum operation operation;
};

/* A change is a retirement or the return from one; each takes a few steps.  If all are replaced, it
 * takes a few for each member, and the return is the same the other way round. */
struct draining {
    struct phase phase;
    int change;         /* how many are done */
    int since;          /* flows that had begun when the last one was */
    int next;           /* the next step comes once this many flows have begun */
    int member, sibling;
    struct step steps[STEPS];
    int step, step_count;
    long exposed;       /* flows that began between the steps of a retirement */
};

static int is_back(const struct draining *draining)
{
    return draining->change % 2;
}

/* Changes come at even distances, with a part of the stream before the first and after the last. */
static int due(const struct trial *trial, int change)
{
    return (int)((long)(change + 1) * trial->question->flows / (2 * trial->question->rounds + 1));
}

/* Members retire in turn.  One that the stream does not reach would lose nothing on any kernel. */
static void choose(struct trial *trial, struct draining *draining)
{
    const struct phase *phase = &draining->phase;
    int listeners = trial->question->listeners, way = trial->question->way;
    draining->member = way == AS_VISITOR ? listeners : 0;
    if (way == AS_VISITOR || way == ALL_AT_ONCE)
        return;
    draining->member = busiest(trial, phase->flows + draining->since,
                               phase->started - draining->since,
                               draining->change / 2 % listeners);
    draining->sibling = (draining->member + 1) % listeners;
}

static void add(struct draining *draining, int member, enum operation operation, int after_gap)
{
    draining->steps[draining->step_count++] = (struct step){ member, after_gap, operation };
}

/* The members `old` to old+count-1 retire once those from `young` on listen. */
static void plan_replacement(struct draining *draining, int old, int young, int count)
{
    for (int i = 0; i < count; i++) {
        add(draining, young + i, BIND, 0);
        add(draining, young + i, LISTEN, 0);
    }
    for (int i = 0; i < count; i++)
        add(draining, old + i, PAUSE, 0);
    for (int i = 0; i < count; i++)
        add(draining, old + i, RETIRE, i == 0);
    for (int i = 0; i < count; i++)
        add(draining, old + i, DROP, i == 0);
}

/* It comes and goes, and takes nothing out of its queue. */
static void plan_visit(struct draining *draining, int member)
{
    add(draining, member, BIND, 0);
    add(draining, member, LISTEN_ONLY, 0);
    add(draining, member, DROP, 1);
}

static void plan_retirement(struct draining *draining, int member, int way)
{
    add(draining, member, way == BY_INHERIT ? BEQUEATH : PAUSE, 0);
    if (way != BY_INHERIT && way != ABRUPTLY)
        add(draining, member, RETIRE, 1);
    add(draining, member, DROP, 1);
}

/* A member comes back without gaps: what a socket between bind() and listen() does to a flow is the
 * question of `bound-only`. */
static void plan_return(struct draining *draining, int member, int way)
{
    if (way == BY_INHERIT) {
        add(draining, member, RECLAIM, 0);
    } else if (way == AS_VISITOR) {
        add(draining, member, PAUSE, 0); /* it does not come back by itself */
    } else {
        add(draining, member, BIND, 0);
        add(draining, member, LISTEN, 0);
    }
}

static void plan(const struct trial *trial, struct draining *draining)
{
    int back = is_back(draining), way = trial->question->way;
    int member = draining->member, sibling = draining->sibling;
    int half = trial->question->listeners / 2;
    draining->step = draining->step_count = 0;
    if (way == ALL_AT_ONCE) {
        plan_replacement(draining, back ? half : 0, back ? 0 : half, half);
    } else if (way == BY_PASS) {
        add(draining, back ? sibling : member, HAND_OVER, 0);
        add(draining, back ? member : sibling, RECEIVE, !back);
        add(draining, back ? sibling : member, DROP, !back);
    } else if (back) {
        plan_return(draining, member, way);
    } else if (way == AS_VISITOR) {
        plan_visit(draining, member);
    } else {
        plan_retirement(draining, member, way);
    }
}

/* No flow begins during a step, so that the flows in a gap do not depend on the CPUs. */
static void take_step(struct trial *trial, struct draining *draining)
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
                draining->member, outcome.call != NO_CALL ? outcome.error : 0);
    draining->change++;
    draining->since = phase->started;
    draining->step = draining->step_count = 0;
    draining->next = due(trial, draining->change);
    if (outcome.call != NO_CALL || draining->change == 2 * trial->question->rounds) {
        phase->watch = NULL;
        phase->begun = NULL;
        phase->hold = phase->pause = 0;
    }
}

/* A step that the kernel refuses is an answer; it ends the last change, and the stream runs out. */
static void told(struct trial *trial, struct draining *draining)
{
    struct phase *phase = &draining->phase;
    struct outcome outcome = member_hear(trial, draining->steps[draining->step].member);
    phase->watched = 0;
    if (outcome.call != NO_CALL || ++draining->step == draining->step_count) {
        end_change(trial, draining, outcome);
    } else if (draining->steps[draining->step].after_gap) {
        draining->next = phase->started + GAP;
    } else {
        take_step(trial, draining);
    }
}

static int undecided(const struct phase *phase)
{
    int count = 0;
    for (int i = phase->settled; i < phase->started; i++)
        count += phase->flows[i].fate == UNDECIDED;
    return count;
}

/* Called between two flows, so that those before are still on their way when the step is taken. */
static void step_when_due(struct trial *trial, struct phase *phase)
{
    struct draining *draining = (struct draining *)(void *)phase; /* its first field */
    if (phase->started < draining->next)
        return;
    if (draining->step_count == 0) {
        if (!is_back(draining))
            choose(trial, draining);
        plan(trial, draining);
    } else {
        draining->exposed += phase->started - draining->next + GAP;
    }
    take_step(trial, draining);
}

static void watch_changes(struct trial *trial, struct phase *phase)
{
    struct draining *draining = (struct draining *)(void *)phase; /* its first field */
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
    flows_end(trial, draining.phase.flows, count);
    emit_fact("exposed", draining.exposed);
}

void drain(struct trial *trial)
{
    int count = trial->question->flows, listeners = trial->question->listeners;
    int way = trial->question->way, first = way == ALL_AT_ONCE ? listeners / 2 : listeners;
    if (listeners < 2 || count / (2 * trial->question->rounds + 1) < APART)
        unsupported(trial, "a sibling is needed, and %d flows between two changes", APART);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, trial->handover) != 0)
        broken("socketpair: %s", errno_name(errno));
    reserve_port(trial);
    need_descriptors(trial, ROOM + WINDOW);
    members_fork(trial, listeners + (way == AS_VISITOR));
    trial->indexes = listeners + 1; /* an heir replies with an index of its own */
    close(trial->handover[0]);
    close(trial->handover[1]);
    if (members_stand(trial, first) != 0)
        return;
    flows_serve_new(trial, "calm", CALM);
    stream(trial);
    emit_fact("drained", trial->drained);
    if (trial->endless > 0)
        emit_fact("endless", trial->endless);
}
