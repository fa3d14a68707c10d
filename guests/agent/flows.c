/* Arrays of flows, and the phases that most scenarios run with them. */
#include "flows.h"

#include "client.h"
#include "clock.h"
#include "flow.h"
#include "phase.h"
#include "trial.h"
#include "unsupported.h"

#include <stdlib.h>

enum { QUEUEING = 3000 };

struct flow *flows_new(struct trial *trial, int count)
{
    struct flow *flows = calloc((size_t)count, sizeof *flows);
    if (flows == NULL)
        short_of(trial, "memory for %d flows", count);
    for (int i = 0; i < count; i++)
        flows[i].fd = -1;
    return flows;
}

void flows_end(struct trial *trial, struct flow *flows, int count)
{
    for (int i = 0; i < count; i++)
        trial->client->hang_up(&flows[i]);
    free(flows);
}

void flows_serve(struct trial *trial, const char *name, struct flow *flows, int count)
{
    struct phase phase = { .name = name, .flows = flows, .count = count };
    phase_run(trial, &phase);
}

void flows_serve_new(struct trial *trial, const char *name, int count)
{
    struct flow *flows = flows_new(trial, count);
    flows_serve(trial, name, flows, count);
    flows_end(trial, flows, count);
}

void flows_hold(struct trial *trial, const char *name, struct flow *flows, int count)
{
    struct phase phase = { .name = name, .flows = flows, .count = count, .keep = 1 };
    phase_run(trial, &phase);
}

void flows_echo(struct trial *trial, const char *name, struct flow *flows, int count)
{
    struct phase phase = { .name = name, .flows = flows, .count = count, .keep = 1, .echo = 1 };
    phase_run(trial, &phase);
}

/* The deadline is short: a handshake that succeeds at all needs one round trip, or one more SYN
 * after a second. */
void flows_queue(struct trial *trial, const char *name, struct flow *flows, int count)
{
    struct phase phase = { .name = name, .flows = flows, .count = count, .handshake = 1 };
    phase.deadline = trial->question->deadline < QUEUEING ? trial->question->deadline : QUEUEING;
    phase.silent = trial->question->accepting == WITH_DATA;
    phase.fast_open = trial->question->accepting == FAST_OPEN;
    phase_run(trial, &phase);
}

void flows_arrive(struct trial *trial)
{
    struct flow *flows = flows_new(trial, 1);
    struct phase phase = { .flows = flows, .count = 1, .handshake = 1, .deadline = QUEUEING };
    phase_run(trial, &phase);
    flows_end(trial, flows, 1);
}

struct waiting {
    struct phase phase;
    int quiet;
};

/* A slow guest answers late, but goes on answering. */
static void while_answers_come(struct trial *trial, struct phase *phase)
{
    int quiet = ((struct waiting *)(void *)phase)->quiet; /* it is the first field */
    int most = trial->question->deadline;
    int64_t began = phase->flows[0].started, last = began;
    for (int i = 0; i < phase->started; i++)
        if (phase->flows[i].fate == SERVED && phase->flows[i].ended > last)
            last = phase->flows[i].ended;
    phase->deadline = last - began + quiet < most ? (int)(last - began) + quiet : most;
}

void flows_wait(struct trial *trial, const char *name, struct flow *flows, int count, int quiet)
{
    struct waiting waiting = { .phase = { .name = name, .flows = flows, .count = count,
                                          .resume = 1, .handshake = 1, .deadline = quiet,
                                          .watch = while_answers_come }, .quiet = quiet };
    phase_run(trial, &waiting.phase);
    for (int i = 0; i < count; i++)
        if (flows[i].fate == SERVED)
            flows[i].state = DONE; /* its connection is closed */
}

void flows_settle(struct trial *trial, struct flow *flows, int count)
{
    struct phase phase = { .name = "fates", .flows = flows, .count = count, .resume = 1 };
    phase_run(trial, &phase);
}
