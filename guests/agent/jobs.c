/* Questions as processes: each in a process group of its own, which is killed when it has ended,
 * so that nothing of it is left; its lines are kept together. */
#include "jobs.h"

#include "ask.h"

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

enum { CAP = 4 << 20, TICK = 200 };

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

static int say_exit(const char *id, int status)
{
    char line[160];
    emit_exit(line, sizeof line, id, WIFEXITED(status) ? WEXITSTATUS(status) : 0,
              WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    return write_all(line, strlen(line));
}

/* Ends every process of a question whose own process has been reaped; orphans that came to us
 * (platform_adopt_orphans) are reaped, too. */
static void clear_group(pid_t group)
{
    kill(-group, SIGKILL);
    while (waitpid(-group, NULL, 0) > 0 || errno == EINTR)
        continue;
}

static void abandon(struct front *front)
{
    for (int i = 0; i < front->slot_count; i++) {
        struct slot *slot = &front->slots[i];
        if (slot->pid > 0 && !slot->reaped) {
            kill(-slot->pid, SIGKILL);
            waitpid(slot->pid, NULL, 0);
            clear_group(slot->pid);
        }
    }
    setting_end(front);
    if (told_to_stop != 0) {
        signal(told_to_stop, SIG_DFL);
        raise(told_to_stop);
    }
    exit(EXIT_BROKEN);
}

static void become_question(struct front *front, const struct scenario *scenario, struct question *question,
                            int output)
{
    setpgid(0, 0);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    dup2(output, STDOUT_FILENO);
    close(output);
    close(front->lifeline[1]);
    setting_forget(front);
    for (int i = 0; i < front->slot_count; i++)
        if (front->slots[i].output > 0)
            close(front->slots[i].output);
    metronome_start(front->lifeline[0]);
    ask(scenario, question);
}

void front_start(struct front *front, const struct scenario *scenario, struct question *question)
{
    struct slot *slot = front->slots;
    int ends[2];
    while (slot->pid != 0)
        slot++;
    question->slot = (int)(slot - front->slots);
    question->slots = front->slot_count;
    int failed = pipe(ends);
    /* What the others hold comes back when they end. */
    while (failed == 0 && (slot->pid = fork()) < 0 && errno == EAGAIN && front->running > 0) {
        slot->pid = 0;
        front_wait(front, 0);
    }
    if (failed != 0 || slot->pid < 0) {
        fprintf(stderr, "agent: no process for a question: %s\n", errno_name(errno));
        slot->pid = 0;
        abandon(front);
    }
    if (slot->pid == 0) {
        close(ends[0]);
        become_question(front, scenario, question, ends[1]);
    }
    setpgid(slot->pid, slot->pid); /* in both, whoever comes first */
    close(ends[1]);
    slot->output = ends[0];
    snprintf(slot->id, sizeof slot->id, "%s", question->id);
    slot->load = question->load;
    front->running++;
    front->waiting += question->load == 0;
    front->load += question->load;
}

/* Whether a question may begin now: one that mostly waits takes a place, another a share of a CPU. */
int front_fits(const struct front *front, const struct question *question)
{
    return question->load == 0 ? front->waiting < front->jobs
                               : front->load + question->load <= FULL;
}

/* A question that says more than the cap is cut; without its `end` it counts as torn. */
static void hold(struct slot *slot, const char *bytes, size_t count)
{
    if (slot->length + count > slot->room && slot->room < CAP) {
        size_t room = slot->room == 0 ? 65536 : slot->room * 2;
        char *more = realloc(slot->said, room);
        if (more != NULL) {
            slot->said = more;
            slot->room = room;
        }
    }
    if (count > slot->room - slot->length)
        count = slot->room - slot->length;
    if (count > 0)
        memcpy(slot->said + slot->length, bytes, count);
    slot->length += count;
}

static void listen_to(struct front *front, struct slot *slot)
{
    char bytes[65536];
    ssize_t got = read(slot->output, bytes, sizeof bytes);
    if (got < 0 && errno == EINTR)
        return;
    if (got <= 0) {
        close(slot->output);
        slot->output = -1;
    } else if (!front->streaming) {
        hold(slot, bytes, (size_t)got);
    } else if (write_all(bytes, (size_t)got) != 0) {
        abandon(front);
    }
}

static void finish(struct front *front, struct slot *slot)
{
    int torn = slot->length > 0 && slot->said[slot->length - 1] != '\n';
    if (!front->streaming
        && (write_all(slot->said, slot->length) != 0 || (torn && write_all("\n", 1) != 0)
            || say_exit(slot->id, slot->status) != 0))
        abandon(front);
    free(slot->said);
    front->running--;
    front->waiting -= slot->load == 0;
    front->load -= slot->load;
    *slot = (struct slot){ .status = slot->status };
}

static void collect(struct front *front)
{
    for (int i = 0; i < front->slot_count; i++) {
        struct slot *slot = &front->slots[i];
        if (slot->pid > 0 && !slot->reaped && waitpid(slot->pid, &slot->status, WNOHANG) > 0) {
            slot->reaped = 1;
            clear_group(slot->pid);
        }
        if (slot->pid > 0 && slot->reaped && slot->output < 0)
            finish(front, slot);
    }
}

/* Whether nobody reads our output any more: over ssh the only sign of a lost connection.  A pipe
 * says so by itself (POLLERR or POLLHUP).  A socket's POLLHUP differs between systems and may mean
 * the end of our input only; to send nothing is refused just where nothing could arrive. */
static int reader_is_gone(int pipe, const struct pollfd *output)
{
    if (pipe)
        return (output->revents & (POLLERR | POLLHUP)) != 0;
    return send(STDOUT_FILENO, "", 0, MSG_DONTWAIT) < 0 && errno == EPIPE;
}

/* Waits for words of the questions, for more questions, and for the reader to go. */
void front_wait(struct front *front, int hungry)
{
    struct pollfd polls[MAX_SLOTS + 2];
    struct stat output;
    int ready = 0;
    for (int i = 0; i < front->slot_count; i++) {
        const struct slot *slot = &front->slots[i];
        polls[i] = (struct pollfd){ .fd = slot->pid > 0 ? slot->output : -1, .events = POLLIN };
        ready |= slot->pid > 0 && slot->output < 0;
    }
    int pipe = fstat(STDOUT_FILENO, &output) == 0 && S_ISFIFO(output.st_mode);
    polls[front->slot_count] = (struct pollfd){ .fd = hungry ? STDIN_FILENO : -1, .events = POLLIN };
    polls[front->slot_count + 1] = (struct pollfd){ .fd = pipe ? STDOUT_FILENO : -1 };
    if (poll(polls, (nfds_t)front->slot_count + 2, ready ? 1 : TICK) > 0) {
        for (int i = 0; i < front->slot_count; i++)
            if (polls[i].revents != 0)
                listen_to(front, &front->slots[i]);
        if (polls[front->slot_count].revents != 0) {
            ssize_t got = read(STDIN_FILENO, front->line + front->length, LINE - front->length);
            front->ended = got == 0 || (got < 0 && errno != EINTR);
            front->length += got > 0 ? (size_t)got : 0;
        }
    }
    if (told_to_stop != 0 || reader_is_gone(pipe, &polls[front->slot_count + 1]))
        abandon(front);
    collect(front);
}

/* What is no question is closed by its `exit` line alone. */
void front_refuse(struct front *front, const char *id, int status)
{
    char line[160];
    emit_exit(line, sizeof line, id, status, 0);
    if (write_all(line, strlen(line)) != 0)
        abandon(front);
}

void front_open(struct front *front, int jobs, int slots)
{
    struct sigaction action;
    memset(front, 0, sizeof *front);
    memset(&action, 0, sizeof action);
    front->jobs = jobs;
    front->slot_count = slots;
    front->last = &front->first;
    if (fcntl(STDIN_FILENO, F_GETFD) < 0) /* or the first pipe would be taken for the questions */
        open("/dev/null", O_RDONLY);
    front->slots = calloc((size_t)slots, sizeof *front->slots);
    if (front->slots == NULL || pipe(front->lifeline) != 0)
        broken("no pipe: %s", errno_name(errno));
    action.sa_handler = on_stop;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    platform_adopt_orphans();
}
