/* A question's flows, a few at a time, each time with a group that stands anew. */
#include "rounds.h"

#include "client.h"
#include "clock.h"
#include "emit.h"
#include "flow.h"
#include "group.h"
#include "members.h"
#include "phase.h"
#include "trial.h"
#include "unsupported.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1000 }; /* an answer has a limited number of lines */

struct happening {
    const char *what;
    int error;
    int64_t at;
};

static int size_of(const struct trial *trial, int left)
{
    return left < trial->question->round ? left : trial->question->round;
}

struct rounds rounds_of(struct trial *trial, struct flow *flows, int phases, int spare)
{
    int total = trial->question->flows, size = size_of(trial, total);
    int number = (total + size - 1) / size;
    struct rounds rounds = { .flows = flows, .count = size, .changed = -1, .total = total,
                             .spare = spare };
    if (number > MOST)
        unsupported(trial, "%d rounds are too many: %d are the most", number, MOST);
    rounds.kept = calloc((size_t)phases * (size_t)total, sizeof *rounds.kept);
    rounds.happened = calloc((size_t)number, sizeof *rounds.happened);
    if (rounds.kept == NULL || rounds.happened == NULL)
        short_of(trial, "memory for %d flows in %d phases", total, phases);
    return rounds;
}

static struct flow *kept(const struct rounds *rounds, int phase)
{
    return rounds->kept + (ptrdiff_t)phase * rounds->total;
}

void rounds_keep(struct rounds *rounds, int phase)
{
    memcpy(kept(rounds, phase) + rounds->first, rounds->flows,
           (size_t)rounds->count * sizeof *rounds->flows);
}

void rounds_change(struct rounds *rounds, const char *what, int error)
{
    rounds->happened[rounds->number] =
        (struct happening){ .what = what, .error = error, .at = clock_ms() };
}

int rounds_longest(const struct rounds *rounds, int from, int to)
{
    const struct flow *was = kept(rounds, from) + rounds->first;
    const struct flow *now = kept(rounds, to) + rounds->first;
    int64_t longest = 0;
    for (int i = 0; i < rounds->count; i++)
        if (was[i].fate == LEFT_OPEN && now[i].started - was[i].started > longest)
            longest = now[i].started - was[i].started;
    return (int)longest;
}

/* The members live until both ends of each connection are closed: what they would leave behind
 * could meet the next group. */
static void hang_up(struct trial *trial, struct rounds *rounds)
{
    struct phase phase = { .flows = rounds->flows, .count = rounds->count,
                           .started = rounds->count, .settled = rounds->count };
    for (int i = 0; i < rounds->count; i++)
        trial->client->hang_up(&rounds->flows[i]);
    trial->client->hung_up(trial, &phase);
    members_end(trial);
}

int rounds_next(struct trial *trial, struct rounds *rounds, int once_more)
{
    hang_up(trial, rounds);
    if (once_more && rounds->again <= rounds->number) {
        rounds->again++;
    } else {
        rounds->flows += rounds->count;
        rounds->first += rounds->count;
        rounds->count = size_of(trial, rounds->total - rounds->first);
        rounds->number++;
    }
    struct outcome outcome = { .call = NO_CALL };
    if (rounds->count > 0)
        outcome = group_stands_again(trial, rounds->spare);
    if (rounds->count == 0 || outcome.call != NO_CALL)
        emit_attempt("again", outcome);
    return outcome.call != NO_CALL ? -1 : rounds->count > 0;
}

void rounds_say_flows(const struct trial *trial, const struct rounds *rounds, int phase,
                      const char *name)
{
    emit_flows(trial, name, kept(rounds, phase), rounds->total, 0);
}

void rounds_say_changes(const struct trial *trial, const struct rounds *rounds)
{
    for (int i = 0; i < rounds->number; i++) {
        const struct happening *one = &rounds->happened[i];
        emit_change_at(trial, one->what, rounds->changed, one->error, one->at);
    }
    emit_fact("slow-rounds", rounds->again);
}

void rounds_end(struct rounds *rounds)
{
    free(rounds->kept);
    free(rounds->happened);
}
