/* `takeover`: one listener serves a steady stream; a newcomer joins, then the old one retires. */
#include "scenarios.h"

#include "confirm.h"
#include "emit.h"
#include "flow.h"
#include "flows.h"
#include "limits.h"
#include "members.h"
#include "outcome.h"
#include "phase.h"
#include "ports.h"
#include "trial.h"

#include <stddef.h>
#include <string.h>

enum { BEFORE_IT_STOOD = 0, IN_FLIGHT = 1, AFTER = 2, STREAMS = 3 };

/* The newcomer takes its steps while the stream goes on: bind(), then listen() (TCP). */
struct joining {
    struct phase phase;
    int step, bind, listen, stood;
};

/* The newcomer was told to take its last step: flows that are under way began before it stood.  No
 * flow begins until it has answered, because nobody could say whether it stood by then. */
static void label_under_way(struct phase *phase)
{
    for (int i = phase->settled; i < phase->started; i++)
        if (phase->flows[i].fate == UNDECIDED)
            phase->flows[i].group = IN_FLIGHT;
    phase->pause = 1;
}

/* Flows that begin from here on meet both listeners.  If the kernel refuses the newcomer, the
 * stream ends. */
static void joined(struct trial *trial, struct joining *joining, struct outcome outcome)
{
    struct phase *phase = &joining->phase;
    joining->stood = outcome.call == NO_CALL;
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
    struct joining *joining = (struct joining *)(void *)phase; /* its first field */
    int last = trial->question->udp ? 1 : 2;
    if (joining->step == 0 && phase->started >= trial->question->flows / 2) {
        member_send(trial, 1, BIND, trial->question->option, 0);
        phase->watched = trial->members[1].control;
        joining->step = 1;
    } else if (phase->hold && phase->heard) {
        struct outcome outcome = member_hear(trial, 1);
        if (outcome.call == NO_CALL && joining->step == 1)
            joining->bind = trial->binds++;
        if (outcome.call == NO_CALL && joining->step == 2)
            joining->listen = trial->listens++;
        if (outcome.call != NO_CALL || joining->step == last)
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

/* The stream goes on until the newcomer stands, within bounds, and then for `flows` flows.  `sole`
 * is who served in the end, if one did. */
static int stream(struct trial *trial, int *sole)
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
    *sole = sole_server(phase->flows, phase->count);
    flows_end(trial, phase->flows, room);
    return joining.stood;
}

void takeover(struct trial *trial)
{
    int count = trial->question->flows, udp = trial->question->udp, sole;
    reserve_port(trial);
    need_descriptors(trial, count * (STREAMS + 2));
    members_fork(trial, 2);
    if (member_stand(trial, 0) != 0)
        return;
    struct flow *before = flows_new(trial, count), *retired = flows_new(trial, count);
    (udp ? flows_serve : flows_hold)(trial, "before", before, count);
    if (stream(trial, &sole)) {
        confirm_addresses(trial, "addresses", sole, 2);
        confirm_speakers(trial, sole, 2);
        if (!udp)
            flows_echo(trial, "alive", before, count);
        member_fail(trial, 0, CLOSE);
        flows_serve(trial, "retired", retired, count);
        if (!udp)
            flows_echo(trial, "alive-retired", before, count);
    }
    flows_end(trial, before, count);
    flows_end(trial, retired, count);
}
