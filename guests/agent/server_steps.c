/* What a keeper does to its server: starts it, takes the steps of a plan, stops it. */
#include "server_steps.h"

#include "clock.h"
#include "errno_name.h"
#include "flow.h"
#include "keeper.h"
#include "plan.h"
#include "server_files.h"
#include "server_probe.h"
#include "server_processes.h"

#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A step may take PATIENCE ms, and on a slow guest TIMES as long as the first answer. */
enum { PATIENCE = 30000, TIMES = 3, SLICE = 20, LEAVING = 2000, IN_A_ROW = 20 };

static int64_t latest(const struct keeper *keeper)
{
    int longest = TIMES * keeper->plan->ready;
    return clock_ms() + (longest > PATIENCE ? longest : PATIENCE);
}

static int ended_badly(const struct instance *instance)
{
    return instance->ended
        && (!WIFEXITED(instance->status) || WEXITSTATUS(instance->status) != 0);
}

/* A line that hangs is killed, with all that it has started in its group. */
static int run(struct keeper *keeper, const char *line)
{
    int64_t until = latest(keeper);
    int place = server_shell(keeper, line);
    if (place < 0)
        return errno;
    struct instance *instance = &keeper->instances[place];
    while (!instance->ended && clock_ms() < until)
        keeper_wait(keeper, -1, 0, SLICE);
    int hangs = !instance->ended, bad = ended_badly(instance);
    if (hangs)
        kill(-instance->pid, SIGKILL);
    if (bad && WIFEXITED(instance->status))
        snprintf(keeper->failed, sizeof keeper->failed, "status %d",
                 WEXITSTATUS(instance->status));
    keeper->instance_count -= place == keeper->instance_count - 1 && instance->ended;
    return hangs ? ETIMEDOUT : bad ? ECHILD : 0;
}

static int start(struct keeper *keeper)
{
    int place = server_shell(keeper, keeper->plan->start);
    keeper->newest = place >= 0 ? place : keeper->newest;
    return place < 0 ? errno : 0;
}

static int send_signal(struct keeper *keeper, const struct plan_step *step)
{
    pid_t pid = server_who(keeper, step);
    if (pid <= 0)
        return errno;
    if (pid == keeper->main)
        server_remember_old(keeper);
    return kill(pid, step->number) == 0 ? 0 : errno;
}

/* The process that was meant the last time, or is meant now.  One that is not there is gone. */
static int gone(struct keeper *keeper, const struct plan_step *step)
{
    int64_t until = latest(keeper);
    pid_t pid = keeper->remembered[step->who];
    if (pid == 0)
        pid = server_who(keeper, step);
    if (pid == 0)
        return errno == ESRCH || errno == ENOENT ? 0 : errno;
    while (clock_ms() < until) {
        server_reap(keeper);
        if (!server_lives(pid)) {
            keeper->remembered[step->who] = 0;
            return 0;
        }
        keeper_wait(keeper, -1, 0, SLICE);
    }
    return ETIMEDOUT;
}

static int old_gone(struct keeper *keeper)
{
    int64_t until = latest(keeper);
    while (server_old_lives(keeper)) {
        if (clock_ms() >= until)
            return ETIMEDOUT;
        keeper_wait(keeper, -1, 0, SLICE);
    }
    return 0;
}

static int nap(struct keeper *keeper, int ms)
{
    int64_t until = clock_ms() + ms, now;
    while ((now = clock_ms()) < until)
        keeper_wait(keeper, -1, 0, (int)(until - now));
    return 0;
}

/* As many answers in a row of the new generation.  Several tell that no old worker serves any more:
 * one of four gets none of IN_A_ROW with a chance of 0.3 %. */
static int answered_anew(struct keeper *keeper, int wanted)
{
    struct flow flow;
    int64_t until = latest(keeper);
    for (int got = 0; clock_ms() < until; ) {
        server_probe(keeper, &flow, (int)(until - clock_ms()));
        int new = flow.fate == SERVED
            && (!keeper->plan->tells || flow.answered[0] == keeper->generation);
        got = new ? got + 1 : 0;
        if (got == wanted)
            return 0;
        if (new)
            continue;
        if (ended_badly(&keeper->instances[keeper->newest]))
            return ECHILD;
        keeper_wait(keeper, -1, 0, SLICE / 2);
    }
    return ETIMEDOUT;
}

/* From now on `main` is that process. */
static int become_main(struct keeper *keeper, const struct plan_step *step)
{
    pid_t pid = server_who(keeper, step);
    if (pid <= 0)
        return errno;
    keeper->main = pid;
    return 0;
}

static int write_files(struct keeper *keeper)
{
    keeper->generation++;
    return server_write(keeper);
}

static int take_step(struct keeper *keeper, const struct plan_step *step)
{
    switch (step->kind) {
    case STEP_WRITE:
        return write_files(keeper);
    case STEP_SET:
        keeper->workers = step->number;
        return 0;
    case STEP_RUN:
        return run(keeper, step->text);
    case STEP_START:
        return start(keeper);
    case STEP_SIGNAL:
        return send_signal(keeper, step);
    case STEP_GONE:
        return gone(keeper, step);
    case STEP_MAIN:
        return become_main(keeper, step);
    case STEP_NEW:
        return answered_anew(keeper, 1);
    case STEP_ALL_NEW:
        return answered_anew(keeper, IN_A_ROW);
    case STEP_OLD_GONE:
        return old_gone(keeper);
    default:
        return nap(keeper, step->number);
    }
}

void server_take_steps(struct keeper *keeper, const struct plan_steps *steps,
                       struct server_news *news)
{
    memset(keeper->remembered, 0, sizeof keeper->remembered);
    for (int i = 0; i < steps->count; i++) {
        keeper->failed[0] = '\0';
        int error = take_step(keeper, &steps->steps[i]);
        if (error == 0)
            continue;
        news->outcome = (struct outcome){ CALL_EXEC, error };
        const char *how = error == ETIMEDOUT ? "timed out" : errno_name(error);
        snprintf(news->step, sizeof news->step, "step %d (%.90s): %.60s", i + 1,
                 steps->steps[i].said, keeper->failed[0] != '\0' ? keeper->failed : how);
        return;
    }
}

static int says_in_use(const struct server_news *news)
{
    return strstr(news->said, "ddress already in use") != NULL
        || strstr(news->said, "EADDRINUSE") != NULL;
}

/* A first instance that ended in order may have left a daemon. */
static struct outcome wait_for_answer(struct keeper *keeper, struct server_news *news)
{
    const struct instance *first = &keeper->instances[keeper->newest];
    struct flow flow = { .fate = UNDECIDED };
    int64_t until = clock_ms() + keeper->plan->ready;
    while (clock_ms() < until) {
        server_probe(keeper, &flow, (int)(until - clock_ms()));
        if (flow.fate == SERVED)
            return (struct outcome){ NO_CALL, 0 };
        keeper_wait(keeper, -1, 0, SLICE);
        if (ended_badly(first) || (first->ended && server_is_empty()))
            return (struct outcome){ CALL_EXEC, ECHILD };
    }
    server_answered(news->answer, sizeof news->answer);
    return (struct outcome){ CALL_READY, flow.fate == REJECTED ? EPROTO
                             : flow.fate == ENDED ? ECONNRESET
                             : flow.fate == FAILED && flow.error != ECONNREFUSED ? flow.error
                                                                                : ETIMEDOUT };
}

/* A server that leaves the foreground says who it is now. */
static struct outcome follow_daemon(struct keeper *keeper)
{
    pid_t pid = server_in_pid_file(keeper);
    if (pid <= 0)
        return (struct outcome){ CALL_READY, errno };
    keeper->main = pid;
    return (struct outcome){ NO_CALL, 0 };
}

const char *server_lacks(struct keeper *keeper)
{
    for (int i = 0; i < keeper->plan->check_count; i++)
        if (run(keeper, keeper->plan->checks[i]) != 0)
            return keeper->plan->lacks[i];
    return NULL;
}

void server_start(struct keeper *keeper, struct server_news *news)
{
    int error = server_write(keeper);
    if (error != 0) {
        news->outcome = (struct outcome){ CALL_WRITE, error };
        return;
    }
    if ((error = start(keeper)) != 0) {
        news->outcome = (struct outcome){ CALL_FORK, error };
        return;
    }
    keeper->main = keeper->instances[keeper->newest].pid;
    news->outcome = wait_for_answer(keeper, news);
    if (news->outcome.call == NO_CALL && keeper->plan->pid != NULL)
        news->outcome = follow_daemon(keeper);
    if (news->outcome.call == NO_CALL)
        return;
    nap(keeper, SLICE); /* its last words */
    server_said(keeper, news->said, sizeof news->said);
    if (says_in_use(news))
        news->outcome = (struct outcome){ CALL_BIND, EADDRINUSE };
}

void server_stop(struct keeper *keeper, struct server_news *news)
{
    struct flow flow;
    int64_t until = clock_ms() + LEAVING;
    server_take_steps(keeper, &keeper->plan->stop, news);
    while ((news->left = server_count(keeper)) > 0 && clock_ms() < until)
        keeper_wait(keeper, -1, 0, SLICE);
    server_said(keeper, news->said, sizeof news->said);
    if (news->left > 0) {
        server_probe(keeper, &flow, 500);
        news->port_kept = flow.fate == SERVED;
        server_kill(keeper);
    }
    server_probe(keeper, &flow, 500);
    news->port_kept |= flow.fate != FAILED;
}
