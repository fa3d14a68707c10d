/* Questions as processes: started, listened to, and ended.
 *
 * Each has a process group of its own, which is killed once the question has ended, so that none of
 * its processes is left.  The lines of each question stay together. */
#include "jobs.h"

#include "ask.h"
#include "clock.h"
#include "emit.h"
#include "ending.h"
#include "errno_name.h"
#include "metronome.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CAP = 4 << 20, TICK_MS = 200 };

static volatile sig_atomic_t told_to_stop;

static void on_stop(int number)
{
    told_to_stop = number;
}

static int write_all(const char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t put = write(STDOUT_FILENO, bytes, count);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return -1;
        bytes += put;
        count -= (size_t)put;
    }
    return 0;
}

static int say_exit(const char *id, int status, int64_t took)
{
    char line[160];
    emit_exit(line, sizeof line, id, WIFEXITED(status) ? WEXITSTATUS(status) : 0,
              WIFSIGNALED(status) ? WTERMSIG(status) : 0, took);
    return write_all(line, strlen(line));
}

/* Ends every process that a question has left; its own process has been reaped.  Orphans that this
 * process has adopted (platform_adopt_orphans()) are reaped, too. */
static void clear_group(pid_t group)
{
    kill(-group, SIGKILL);
    while (waitpid(-group, NULL, 0) > 0 || errno == EINTR)
        continue;
}

int jobs_close(struct jobs *jobs)
{
    return setting_end(&jobs->setting, jobs->lifeline);
}

static void abandon(struct jobs *jobs)
{
    for (int i = 0; i < jobs->slot_count; i++) {
        struct job *job = &jobs->slots[i];
        if (job->pid > 0 && !job->reaped) {
            kill(-job->pid, SIGKILL);
            waitpid(job->pid, NULL, 0);
            clear_group(job->pid);
        }
    }
    jobs_close(jobs);
    if (told_to_stop != 0) {
        signal(told_to_stop, SIG_DFL);
        raise(told_to_stop);
    }
    exit(EXIT_BROKEN);
}

static void become_question(struct jobs *jobs, const struct scenario *scenario,
                            struct question *question, int output)
{
    setpgid(0, 0);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    dup2(output, STDOUT_FILENO);
    close(output);
    close(jobs->lifeline[1]);
    setting_leave(&jobs->setting);
    for (int i = 0; i < jobs->slot_count; i++)
        if (jobs->slots[i].output > 0)
            close(jobs->slots[i].output);
    metronome_start(jobs->lifeline[0]);
    ask(scenario, question);
}

void jobs_start(struct jobs *jobs, const struct scenario *scenario, struct question *question)
{
    struct job *job = jobs->slots;
    int ends[2];
    while (job->pid != 0)
        job++;
    question->slot = (int)(job - jobs->slots);
    question->slots = jobs->slot_count;
    int failed = pipe(ends);
    /* Other questions free their processes when they end. */
    while (failed == 0 && (job->pid = fork()) < 0 && errno == EAGAIN && jobs->running > 0) {
        job->pid = 0;
        jobs_wait(jobs, -1);
    }
    if (failed != 0 || job->pid < 0) {
        fprintf(stderr, "agent: no process for a question: %s\n", errno_name(errno));
        job->pid = 0;
        abandon(jobs);
    }
    if (job->pid == 0) {
        close(ends[0]);
        become_question(jobs, scenario, question, ends[1]);
    }
    setpgid(job->pid, job->pid); /* the child does it, too: either may come first */
    close(ends[1]);
    job->output = ends[0];
    snprintf(job->id, sizeof job->id, "%s", question->id);
    job->load = question->load;
    job->began = clock_ms();
    jobs->running++;
    jobs->waiting += question->load == 0;
    jobs->load += question->load;
}

/* A question that mostly waits takes one of `limit` places, another one a share of one CPU. */
int jobs_fit(const struct jobs *jobs, const struct question *question)
{
    return question->load == 0 ? jobs->waiting < jobs->limit
                               : jobs->load + question->load <= FULL;
}

/* What a question says beyond the cap is cut; without its `end` line it counts as torn. */
static void hold(struct job *job, const char *bytes, size_t count)
{
    if (job->length + count > job->room && job->room < CAP) {
        size_t room = job->room == 0 ? 65536 : job->room * 2;
        char *more = realloc(job->said, room);
        if (more != NULL) {
            job->said = more;
            job->room = room;
        }
    }
    if (count > job->room - job->length)
        count = job->room - job->length;
    if (count > 0)
        memcpy(job->said + job->length, bytes, count);
    job->length += count;
}

static void listen_to(struct jobs *jobs, struct job *job)
{
    char bytes[65536];
    ssize_t got = read(job->output, bytes, sizeof bytes);
    if (got < 0 && errno == EINTR)
        return;
    if (got <= 0) {
        close(job->output);
        job->output = -1;
    } else if (!jobs->streaming) {
        hold(job, bytes, (size_t)got);
    } else if (write_all(bytes, (size_t)got) != 0) {
        abandon(jobs);
    }
}

static void finish(struct jobs *jobs, struct job *job)
{
    int torn = job->length > 0 && job->said[job->length - 1] != '\n';
    if (!jobs->streaming
        && (write_all(job->said, job->length) != 0 || (torn && write_all("\n", 1) != 0)
            || say_exit(job->id, job->status, job->ended - job->began) != 0))
        abandon(jobs);
    free(job->said);
    jobs->running--;
    jobs->waiting -= job->load == 0;
    jobs->load -= job->load;
    *job = (struct job){ .status = job->status };
}

static void collect(struct jobs *jobs)
{
    for (int i = 0; i < jobs->slot_count; i++) {
        struct job *job = &jobs->slots[i];
        if (job->pid > 0 && !job->reaped && waitpid(job->pid, &job->status, WNOHANG) > 0) {
            job->reaped = 1;
            job->ended = clock_ms();
            clear_group(job->pid);
        }
        if (job->pid > 0 && job->reaped && job->output < 0)
            finish(jobs, job);
    }
}

/* Whether nobody reads standard output any more: over ssh the only sign of a lost connection.  A
 * pipe says so by POLLERR or POLLHUP.  On a socket POLLHUP differs between systems, and may mean
 * only that no more input comes; there an empty send() fails. */
static int reader_is_gone(int pipe, const struct pollfd *output)
{
    if (pipe)
        return (output->revents & (POLLERR | POLLHUP)) != 0;
    return send(STDOUT_FILENO, "", 0, MSG_DONTWAIT) < 0 && errno == EPIPE;
}

int jobs_wait(struct jobs *jobs, int input)
{
    struct pollfd polls[MAX_SLOTS + 2];
    struct stat output;
    int ended = 0, readable = 0;
    for (int i = 0; i < jobs->slot_count; i++) {
        const struct job *job = &jobs->slots[i];
        polls[i] = (struct pollfd){ .fd = job->pid > 0 ? job->output : -1, .events = POLLIN };
        ended |= job->pid > 0 && job->output < 0;
    }
    int pipe = fstat(STDOUT_FILENO, &output) == 0 && S_ISFIFO(output.st_mode);
    polls[jobs->slot_count] = (struct pollfd){ .fd = input, .events = POLLIN };
    polls[jobs->slot_count + 1] = (struct pollfd){ .fd = pipe ? STDOUT_FILENO : -1 };
    if (poll(polls, (nfds_t)jobs->slot_count + 2, ended ? 1 : TICK_MS) > 0) {
        for (int i = 0; i < jobs->slot_count; i++)
            if (polls[i].revents != 0)
                listen_to(jobs, &jobs->slots[i]);
        readable = polls[jobs->slot_count].revents != 0;
    }
    if (told_to_stop != 0 || reader_is_gone(pipe, &polls[jobs->slot_count + 1]))
        abandon(jobs);
    collect(jobs);
    return readable;
}

void jobs_refuse(struct jobs *jobs, const char *id, int status)
{
    char line[160];
    emit_exit(line, sizeof line, id, status, 0, 0);
    if (write_all(line, strlen(line)) != 0)
        abandon(jobs);
}

void jobs_open(struct jobs *jobs, int limit, int slots)
{
    struct sigaction action;
    memset(jobs, 0, sizeof *jobs);
    memset(&action, 0, sizeof action);
    jobs->limit = limit;
    jobs->slot_count = slots;
    if (fcntl(STDIN_FILENO, F_GETFD) < 0) /* or the first pipe would become standard input */
        open("/dev/null", O_RDONLY);
    jobs->slots = calloc((size_t)slots, sizeof *jobs->slots);
    if (jobs->slots == NULL || pipe(jobs->lifeline) != 0)
        broken("no pipe: %s", errno_name(errno));
    action.sa_handler = on_stop;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    platform_adopt_orphans();
}
