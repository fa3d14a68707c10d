/* Questions from words: one for a person at a prompt, or one from each line of standard input. */
#include "front.h"

#include <sys/wait.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS = 64 };

/* One question for a person: its lines as they come, its end as our own. */
int ask_alone(const char *scenario, struct question *question)
{
    struct front front;
    front_open(&front, 1);
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

static void take_line(struct front *front, char *line)
{
    char *words[WORDS];
    int count = 0;
    for (char *word = strtok(line, " \t\r"); word != NULL && count < WORDS;
         word = strtok(NULL, " \t\r"))
        words[count++] = word;
    if (count == 0)
        return;
    struct question question = { .id = words[0] };
    int refused = 0;
    const char *why = NULL;
    if (!plain_id(words[0]) || count < 2 || count == WORDS || front->skipping)
        why = "not a question", refused = EXIT_USAGE;
    else if (!scenario_exists(words[1]))
        why = "unknown scenario", refused = EXIT_UNSUPPORTED;
    else if ((why = question_parse(&question, words + 2, count - 2)) != NULL)
        refused = EXIT_USAGE;
    else if (setting_begin(front, &question) != 0)
        why = "a batch sets one tunable, for all of its questions", refused = EXIT_USAGE;
    if (refused == 0) {
        front_start(front, words[1], &question);
        return;
    }
    fprintf(stderr, "agent: %s\n", why);
    front_refuse(front, words[0], refused);
}

/* Takes the next whole line, if there is one; a line that does not fit is refused by its start. */
static int next_line(struct front *front)
{
    char *end = memchr(front->line, '\n', front->length);
    if (end == NULL && front->length < LINE && !(front->ended && front->length > 0))
        return 0;
    size_t taken = end != NULL ? (size_t)(end - front->line) + 1 : front->length;
    char line[LINE + 1];
    memcpy(line, front->line, taken);
    line[end != NULL ? taken - 1 : taken] = '\0';
    front->length -= taken;
    memmove(front->line, front->line + taken, front->length);
    int whole = end != NULL || front->ended;
    for (char *c = line; c < line + taken - (end != NULL); c++)
        *c = *c == '\0' ? '?' : *c; /* or the rest of the line would be gone unseen */
    if (front->skipping && whole) {
        front->skipping = 0;
    } else if (!front->skipping) {
        front->skipping = !whole;
        take_line(front, line);
    }
    return 1;
}

int ask_batch(int jobs)
{
    struct front front;
    front_open(&front, jobs);
    for (;;) {
        while (front.running < jobs && next_line(&front))
            continue;
        if (front.running == 0 && front.ended && front.length == 0)
            break;
        front_wait(&front, front.running < jobs && !front.ended);
    }
    free(front.slots);
    return setting_end(&front);
}
