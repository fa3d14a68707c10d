/* Questions from words: one for a person at a prompt, or one from each line of standard input. */
#include "jobs.h"

#include "catalogue.h"

#include <sys/wait.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HELD = 256 }; /* questions that are read ahead, at most */

/* One question for a person: its lines as they come, its end as our own. */
int ask_alone(const struct scenario *scenario, struct question *question)
{
    struct front front;
    front_open(&front, 1, 1);
    front.streaming = 1;
    setting_begin(&front, question);
    front_start(&front, scenario, question);
    while (front.running > 0)
        front_wait(&front, 0);
    int restored = setting_end(&front);
    int status = front.slots[0].status;
    free(front.slots);
    if (WIFSIGNALED(status)) {
        signal(WTERMSIG(status), SIG_DFL);
        raise(WTERMSIG(status));
    }
    return !WIFEXITED(status) ? EXIT_BROKEN : restored != 0 ? restored : WEXITSTATUS(status);
}

static int plain_id(const char *id)
{
    size_t length = strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "0123456789._:+-");
    return length > 0 && length <= 64 && id[length] == '\0';
}

static void hold(struct front *front, struct pending *pending)
{
    *front->last = pending;
    front->last = &pending->next;
    front->held++;
}

/* Begins what may begin now, in the order in which it was asked; what has no room is passed by. */
static void begin_some(struct front *front)
{
    struct pending **link = &front->first;
    while (*link != NULL) {
        struct pending *pending = *link;
        if (!front_fits(front, &pending->question)) {
            link = &pending->next;
            continue;
        }
        *link = pending->next;
        front->held--;
        front_start(front, pending->scenario, &pending->question);
        free(pending);
    }
    front->last = link;
}

static int words_of(struct pending *pending)
{
    int count = 0;
    for (char *word = strtok(pending->line, " \t\r"); word != NULL && count < WORDS;
         word = strtok(NULL, " \t\r"))
        pending->words[count++] = word;
    return count;
}

/* Why it is no question that can be asked, and the exit status that says so; null if it is one. */
static const char *refusal(struct front *front, struct pending *pending, int count, int *status)
{
    char **words = pending->words;
    const char *why;
    pending->question = (struct question){ .id = words[0] };
    *status = EXIT_USAGE;
    if (!plain_id(words[0]) || count < 2 || count == WORDS || front->skipping)
        return "not a question";
    if ((pending->scenario = scenario_named(words[1])) == NULL) {
        *status = EXIT_UNSUPPORTED;
        return "unknown scenario";
    }
    if ((why = question_parse(&pending->question, words + 2, count - 2)) != NULL)
        return why;
    if (setting_begin(front, &pending->question) != 0)
        return "a batch sets one tunable, for all of its questions";
    return NULL;
}

static void take_line(struct front *front, const char *line, size_t length)
{
    int status;
    struct pending *pending = calloc(1, sizeof *pending);
    if (pending == NULL)
        broken("no memory for a question");
    memcpy(pending->line, line, length);
    int count = words_of(pending);
    const char *why = count > 0 ? refusal(front, pending, count, &status) : NULL;
    if (count > 0 && why == NULL) {
        hold(front, pending);
        return;
    }
    if (why != NULL) {
        fprintf(stderr, "agent: %s\n", why);
        front_refuse(front, pending->words[0], status);
    }
    free(pending);
}

/* Takes the next whole line, if there is one; a line that does not fit is refused by its start. */
static int next_line(struct front *front)
{
    char *end = memchr(front->line, '\n', front->length);
    if (end == NULL && front->length < LINE && !(front->ended && front->length > 0))
        return 0;
    size_t taken = end != NULL ? (size_t)(end - front->line) + 1 : front->length;
    char line[LINE];
    memcpy(line, front->line, taken);
    size_t length = taken - (end != NULL);
    front->length -= taken;
    memmove(front->line, front->line + taken, front->length);
    int whole = end != NULL || front->ended;
    for (char *c = line; c < line + length; c++)
        *c = *c == '\0' ? '?' : *c; /* or the rest of the line would be gone unseen */
    if (front->skipping && whole) {
        front->skipping = 0;
    } else if (!front->skipping) {
        front->skipping = !whole;
        take_line(front, line, length);
    }
    return 1;
}

int ask_batch(int jobs)
{
    struct front front;
    front_open(&front, jobs, jobs + FULL / LEAST);
    for (;;) {
        while (front.held < HELD && next_line(&front))
            continue;
        begin_some(&front);
        if (front.running == 0 && front.held == 0 && front.ended && front.length == 0)
            break;
        front_wait(&front, front.held < HELD && !front.ended);
    }
    free(front.slots);
    return setting_end(&front);
}
