/* The agent: asks one kernel one question, and says what it saw (docs/wire.md). */
#include "platform.h"

#include "batch.h"
#include "catalogue.h"
#include "ending.h"
#include "jobs.h"
#include "plan.h"
#include "question.h"
#include "serve.h"
#include "tunable_setting.h"

#include <sys/wait.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int usage(const char *why)
{
    fprintf(stderr, "agent: %s\n"
            "usage: agent SCENARIO [KEY=VALUE]... | agent batch [jobs=N] | agent scenarios\n"
            "       agent serve port=N [workers=N] [generation=N] [how=inherit|reuseport|pass]\n",
            why);
    return EXIT_USAGE;
}

static int list_scenarios(void)
{
    const struct scenario *scenario;
    for (int i = 0; (scenario = scenario_at(i)) != NULL; i++)
        puts(scenario->name);
    return fflush(stdout) == 0 ? 0 : EXIT_BROKEN;
}

/* One question for a person: its lines come as they are said, and its end becomes that of this
 * process. */
static int ask_alone(const struct scenario *scenario, struct question *question)
{
    struct jobs jobs;
    jobs_open(&jobs, 1, 1);
    jobs.streaming = 1;
    setting_begin(&jobs.setting, jobs.lifeline, question);
    jobs_start(&jobs, scenario, question);
    while (jobs.running > 0)
        jobs_wait(&jobs, -1);
    int restored = jobs_close(&jobs);
    int status = jobs.slots[0].status;
    free(jobs.slots);
    if (WIFSIGNALED(status)) {
        signal(WTERMSIG(status), SIG_DFL);
        raise(WTERMSIG(status));
    }
    return !WIFEXITED(status) ? EXIT_BROKEN : restored != 0 ? restored : WEXITSTATUS(status);
}

static int batch(int count, char **words)
{
    int jobs = 1, used = 0;
    if (count > 1 || (count == 1 && (sscanf(words[0], "jobs=%3d%n", &jobs, &used) != 1
                                     || words[0][used] != '\0' || jobs < 1 || jobs > MAX_JOBS)))
        return usage("batch takes jobs=N, 1 to 64");
    return ask_batch(jobs);
}

int main(int count, char **words)
{
    struct question question = { .id = "-" };
    const struct scenario *scenario;
    signal(SIGPIPE, SIG_IGN);
    platform_take_turns(1);
    plan_beside(count > 0 ? words[0] : "");
    if (count < 2)
        return usage("which scenario?");
    if (strcmp(words[1], "batch") == 0)
        return batch(count - 2, words + 2);
    if (strcmp(words[1], "serve") == 0)
        return serve(count - 2, words + 2);
    if (strcmp(words[1], "scenarios") == 0)
        return list_scenarios();
    if ((scenario = scenario_named(words[1])) == NULL) {
        fprintf(stderr, "agent: unknown scenario\n");
        return EXIT_UNSUPPORTED;
    }
    const char *wrong = question_parse(&question, words + 2, count - 2);
    return wrong != NULL ? usage(wrong) : ask_alone(scenario, &question);
}
