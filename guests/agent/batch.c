/* Questions from standard input, one a line. */
#include "batch.h"

#include "catalogue.h"
#include "ending.h"
#include "jobs.h"
#include "question.h"
#include "tunable_setting.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LINE = 4096, WORDS = 64,
    HELD = 256 /* questions that are read ahead, at most */
};

/* A question that was read and has not begun; `words` and what it holds point into `line`. */
struct pending {
    struct pending *next;
    const struct scenario *scenario;
    struct question question;
    char *words[WORDS];
    char line[LINE + 1];
};

struct batch {
    struct jobs jobs;
    struct pending *first, **last;
    int held;
    char line[LINE]; /* what was read of standard input */
    size_t length;
    int ended;       /* standard input is at its end */
    int skipping;    /* what comes is the rest of a line that is too long */
};

static int plain_id(const char *id)
{
    size_t length = strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "0123456789._:+-");
    return length > 0 && length <= 64 && id[length] == '\0';
}

static void hold(struct batch *batch, struct pending *pending)
{
    *batch->last = pending;
    batch->last = &pending->next;
    batch->held++;
}

/* Starts the questions that may start now, in the order in which they were asked. */
static void begin_some(struct batch *batch)
{
    struct pending **link = &batch->first;
    while (*link != NULL) {
        struct pending *pending = *link;
        if (!jobs_fit(&batch->jobs, &pending->question)) {
            link = &pending->next;
            continue;
        }
        *link = pending->next;
        batch->held--;
        jobs_start(&batch->jobs, pending->scenario, &pending->question);
        free(pending);
    }
    batch->last = link;
}

static int words_of(struct pending *pending)
{
    int count = 0;
    for (char *word = strtok(pending->line, " \t\r"); word != NULL && count < WORDS;
         word = strtok(NULL, " \t\r"))
        pending->words[count++] = word;
    return count;
}

/* Why the question cannot be asked, and the exit status that says so; null if it can. */
static const char *refusal(struct batch *batch, struct pending *pending, int count, int *status)
{
    char **words = pending->words;
    const char *why;
    pending->question = (struct question){ .id = words[0] };
    *status = EXIT_USAGE;
    if (!plain_id(words[0]) || count < 2 || count == WORDS || batch->skipping)
        return "not a question";
    if ((pending->scenario = scenario_named(words[1])) == NULL) {
        *status = EXIT_UNSUPPORTED;
        return "unknown scenario";
    }
    if ((why = question_parse(&pending->question, words + 2, count - 2)) != NULL)
        return why;
    if (setting_begin(&batch->jobs.setting, batch->jobs.lifeline, &pending->question) != 0)
        return "a batch sets one tunable, for all of its questions";
    return NULL;
}

static void take_line(struct batch *batch, const char *line, size_t length)
{
    int status;
    struct pending *pending = calloc(1, sizeof *pending);
    if (pending == NULL)
        broken("no memory for a question");
    memcpy(pending->line, line, length);
    int count = words_of(pending);
    const char *why = count > 0 ? refusal(batch, pending, count, &status) : NULL;
    if (count > 0 && why == NULL) {
        hold(batch, pending);
        return;
    }
    if (why != NULL) {
        fprintf(stderr, "agent: %s\n", why);
        jobs_refuse(&batch->jobs, pending->words[0], status);
    }
    free(pending);
}

/* Takes the next line, if there is a whole one.  Of a line that is too long it takes the start, and
 * refuses it. */
static int next_line(struct batch *batch)
{
    char *end = memchr(batch->line, '\n', batch->length);
    if (end == NULL && batch->length < LINE && !(batch->ended && batch->length > 0))
        return 0;
    size_t taken = end != NULL ? (size_t)(end - batch->line) + 1 : batch->length;
    char line[LINE];
    memcpy(line, batch->line, taken);
    size_t length = taken - (end != NULL);
    batch->length -= taken;
    memmove(batch->line, batch->line + taken, batch->length);
    int whole = end != NULL || batch->ended;
    for (char *c = line; c < line + length; c++)
        *c = *c == '\0' ? '?' : *c; /* or the line would seem to end here */
    if (batch->skipping && whole) {
        batch->skipping = 0;
    } else if (!batch->skipping) {
        batch->skipping = !whole;
        take_line(batch, line, length);
    }
    return 1;
}

static void read_some(struct batch *batch)
{
    ssize_t got = read(STDIN_FILENO, batch->line + batch->length, LINE - batch->length);
    batch->ended = got == 0 || (got < 0 && errno != EINTR);
    batch->length += got > 0 ? (size_t)got : 0;
}

int ask_batch(int limit)
{
    struct batch batch = { .held = 0 };
    batch.last = &batch.first;
    jobs_open(&batch.jobs, limit, limit + FULL / LEAST);
    for (;;) {
        while (batch.held < HELD && next_line(&batch))
            continue;
        begin_some(&batch);
        if (batch.jobs.running == 0 && batch.held == 0 && batch.ended && batch.length == 0)
            break;
        int hungry = batch.held < HELD && !batch.ended;
        if (jobs_wait(&batch.jobs, hungry ? STDIN_FILENO : -1))
            read_some(&batch);
    }
    free(batch.jobs.slots);
    return jobs_close(&batch.jobs);
}
