/* One listener serves a steady stream; a newcomer joins it, then the old one retires. */
#include "agent.h"

#include <stddef.h>
#include <string.h>

enum { BEFORE_IT_STOOD = 0, IN_FLIGHT = 1, AFTER = 2, STREAMS = 3 };

/* The newcomer's two steps, taken while the stream goes on: bind, then listen (TCP). */
struct joining {
    struct phase phase;
    int step, bind, listen, stood;
};

/* The last step is asked for: what is under way now began before the newcomer stood.  Nothing more
 * begins until it has answered, or it could not be said of it on which side it was. */
static void label_under_way(struct phase *phase)
{
    for (int i = phase->settled; i < phase->started; i++)
        if (phase->flows[i].fate == UNDECIDED)
            phase->flows[i].group = IN_FLIGHT;
    phase->pause = 1;
}

/* What begins from here on began when both stood; a newcomer that is refused ends the stream. */
static void joined(struct trial *trial, struct joining *joining, struct outcome outcome)
{
    struct phase *phase = &joining->phase;
    joining->stood = outcome.call == NULL;
    emit_member(1, joining->bind, joining->listen, outcome);
    if (joining->stood)
        emit_change(trial, "join", 1, 0);
    phase->count = phase->started + (joining->stood ? trial->question->flows : 0);
    for (int i = phase->started; i < phase->count; i++)
        phase->flows[i].group = AFTER;
    phase->hold = phase->watched = phase->pause = 0;
}

static void watch_newcomer(struct trial *trial, struct phase *phase)
{
    struct joining *joining = (struct joining *)(void *)phase; /* its first member */
    int last = trial->question->udp ? 1 : 2;
    if (joining->step == 0 && phase->started >= trial->question->flows / 2) {
        member_send(trial, 1, BIND, trial->question->option, 0);
        phase->watched = trial->members[1].control;
        joining->step = 1;
    } else if (phase->hold && phase->heard) {
        struct outcome outcome = member_hear(trial, 1);
        if (outcome.call == NULL && joining->step == 1)
            joining->bind = trial->binds++;
        if (outcome.call == NULL && joining->step == 2)
            joining->listen = trial->listens++;
        if (outcome.call != NULL || joining->step == last)
            joined(trial, joining, outcome);
        else
            member_send(trial, 1, LISTEN, 0, 0);
        joining->step++;
    } else {
        return;
    }
    if (phase->hold && joining->step == last)
        label_under_way(phase);
}

/* The stream goes on until the newcomer stands, within bounds, and then for `flows` more. */
static int stream(struct trial *trial)
{
    int flows = trial->question->flows, room = STREAMS * flows + WINDOW;
    struct joining joining = { .phase = { .flows = flows_new(trial, room), .count = room - flows,
                                          .hold = 1, .watch = watch_newcomer },
                               .bind = -1, .listen = -1 };
    struct phase *phase = &joining.phase;
    phase_run(trial, phase);
    if (joining.stood) {
        emit_flows(trial, "during", phase->flows, phase->count, IN_FLIGHT);
        emit_flows(trial, "after", phase->flows, phase->count, AFTER);
    }
    flows_end(phase->flows, room);
    return joining.stood;
}

void takeover(struct trial *trial)
{
    int count = trial->question->flows, udp = trial->question->udp;
    reserve_port(trial);
    need_descriptors(trial, count * (STREAMS + 2));
    members_fork(trial, 2);
    if (member_stand(trial, 0) != 0)
        return;
    struct flow *before = flows_new(trial, count), *retired = flows_new(trial, count);
    (udp ? flows_serve : flows_hold)(trial, "before", before, count);
    if (stream(trial)) {
        if (!udp)
            flows_echo(trial, "alive", before, count);
        member_fail(trial, 0, CLOSE);
        flows_serve(trial, "retired", retired, count);
        if (!udp)
            flows_echo(trial, "alive-retired", before, count);
    }
    flows_end(before, count);
    flows_end(retired, count);
}
