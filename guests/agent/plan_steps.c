/* The steps of a plan: what is done to a server to restart it, or to stop it. */
#include "plan_steps.h"

#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    int number;
} signals[] = {
    { "HUP", SIGHUP }, { "USR1", SIGUSR1 }, { "USR2", SIGUSR2 }, { "QUIT", SIGQUIT },
    { "TERM", SIGTERM }, { "INT", SIGINT }, { "WINCH", SIGWINCH }, { "KILL", SIGKILL },
    { "TTIN", SIGTTIN }, { "TTOU", SIGTTOU }
};

static int signal_named(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        if (strlen(signals[i].name) == length && strncmp(signals[i].name, name, length) == 0)
            return signals[i].number;
    return -1;
}

static const char *parse_who(struct plan_step *step, const char *text)
{
    static const char *const names[] = { "main", "second", "worker" };
    for (int i = 0; i < WHO_FILE; i++)
        if (strcmp(names[i], text) == 0) {
            step->who = (enum who)i;
            return NULL;
        }
    if (strncmp(text, "file:", 5) != 0 || text[5] == '\0')
        return "main, second, worker or file:PATH is missing";
    step->who = WHO_FILE;
    step->text = text + 5;
    return NULL;
}

static const char *parse_signal(struct plan_step *step, const char *text)
{
    size_t length = strcspn(text, " ");
    if ((step->number = signal_named(text, length)) < 0)
        return "no such signal";
    return parse_who(step, text[length] == ' ' ? text + length + 1 : "");
}

static const char *parse_number(struct plan_step *step, const char *text, int most)
{
    size_t length = strlen(text);
    if (length == 0 || length > 6 || strspn(text, "0123456789") != length || atoi(text) > most)
        return "a number is missing, or too large";
    step->number = atoi(text);
    return NULL;
}

static const char *parse_run(struct plan_step *step, const char *text)
{
    step->text = text;
    return text[0] == '\0' ? "a line for the shell is missing" : NULL;
}

static const char *parse_set(struct plan_step *step, const char *text)
{
    return parse_number(step, strncmp(text, "workers ", 8) == 0 ? text + 8 : "", 1000);
}

static const char *parse_sleep(struct plan_step *step, const char *text)
{
    return parse_number(step, text, 60000);
}

static const char *parse_nothing(struct plan_step *step, const char *text)
{
    (void)step;
    return text[0] == '\0' ? NULL : "nothing may follow";
}

static const struct {
    const char *name;
    const char *(*parse)(struct plan_step *, const char *);
} kinds[] = {
    [STEP_WRITE] = { "write", parse_nothing }, [STEP_SET] = { "set", parse_set },
    [STEP_RUN] = { "run", parse_run }, [STEP_START] = { "start", parse_nothing },
    [STEP_SIGNAL] = { "signal", parse_signal }, [STEP_GONE] = { "gone", parse_who },
    [STEP_MAIN] = { "main", parse_who }, [STEP_NEW] = { "new", parse_nothing },
    [STEP_ALL_NEW] = { "all-new", parse_nothing },
    [STEP_OLD_GONE] = { "old-gone", parse_nothing }, [STEP_SLEEP] = { "sleep", parse_sleep }
};

const char *plan_step_add(struct plan_steps *steps, char *line)
{
    size_t length = strcspn(line, " ");
    const char *rest = line[length] == ' ' ? line + length + 1 : "";
    if (steps->count == MAX_STEPS)
        return "too many steps";
    struct plan_step *step = &steps->steps[steps->count];
    memset(step, 0, sizeof *step);
    step->said = line;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strlen(kinds[i].name) != length || strncmp(kinds[i].name, line, length) != 0)
            continue;
        step->kind = (enum step_kind)i;
        steps->count++;
        return kinds[i].parse(step, rest);
    }
    return "no such step";
}
