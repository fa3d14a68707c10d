/* The members as their parent sees them: it forks them, and tells them what to do step by step. */
#include "members.h"

#include "addresses.h"
#include "client.h"
#include "emit.h"
#include "ending.h"
#include "errno_name.h"
#include "metronome.h"
#include "ports.h"
#include "question.h"
#include "sockets.h"
#include "trial.h"
#include "unsupported.h"
#include "worker.h"

#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

enum { RESERVATIONS = 5 };

/* SIGKILL also ends a process that is stopped. */
static void kill_members(void *what)
{
    struct trial *trial = what;
    for (int i = 0; i < trial->member_count; i++)
        if (trial->members[i].pid > 0)
            kill(trial->members[i].pid, SIGKILL);
    for (int i = 0; i < trial->member_count; i++)
        if (trial->members[i].pid > 0)
            while (waitpid(trial->members[i].pid, NULL, 0) < 0 && errno == EINTR)
                continue;
    trial->member_count = 0;
}

/* In the child: it closes what it inherited.  While one member held another's channel, that one
 * would not see its end. */
static void become_member(const struct trial *trial, int index, const int ends[2])
{
    signal(SIGALRM, SIG_DFL);
    close(ends[0]);
    metronome_leave();
    trial->client->leave();
    if (trial->leash[0] > 0)
        close(trial->leash[0]);
    for (int i = 0; i < index; i++)
        close(trial->members[i].control);
}

/* This process has no socket of the question yet, so the children inherit none. */
void members_fork_as(struct trial *trial, int count,
                     void (*run)(const struct trial *, int index, int control))
{
    static int registered; /* a process asks one question */
    if (!registered++)
        at_end(kill_members, trial);
    for (int i = 0; i < count; i++) {
        int ends[2];
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
            broken("socketpair: %s", errno_name(errno));
        pid_t pid = fork();
        if (pid < 0)
            short_of(trial, "processes: listener %d of %d: fork: %s", i + 1, count,
                     errno_name(errno));
        if (pid == 0) {
            become_member(trial, i, ends);
            run(trial, i, ends[1]);
        }
        close(ends[1]);
        trial->members[i] = (struct member){ .pid = pid, .control = ends[0] };
        trial->member_count = i + 1;
    }
}

void members_fork(struct trial *trial, int count)
{
    trial->indexes = count;
    members_fork_as(trial, count, worker_run);
}

/* A member that died by itself has lost flows that no kernel lost. */
void members_end(struct trial *trial)
{
    int count = trial->member_count;
    for (int i = 0; i < count; i++) {
        int status;
        pid_t pid = trial->members[i].pid;
        if (pid <= 0 || waitpid(pid, &status, WNOHANG) != pid)
            continue;
        trial->members[i].pid = 0;
        broken("member %d ended unasked, with %s %d", i, WIFEXITED(status) ? "status" : "signal",
               WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    }
    kill_members(trial);
    for (int i = 0; i < count; i++)
        close(trial->members[i].control);
}

static void command_member(struct trial *trial, int index, const struct command *command)
{
    if (send(trial->members[index].control, command, sizeof *command, 0) != sizeof *command)
        broken("member %d does not take commands: %s", index, errno_name(errno));
}

/* About a socket of the group. */
static struct command command_of(const struct trial *trial, enum operation operation, int option)
{
    struct command command;
    memset(&command, 0, sizeof command);
    command.operation = operation;
    command.option = option;
    command.family = trial->family;
    command.device = trial->device;
    command.address = address_of_member(trial);
    return command;
}

void member_send(struct trial *trial, int index, enum operation operation, int option, int late)
{
    struct command command = command_of(trial, operation, option);
    command.late = late;
    command_member(trial, index, &command);
}

struct outcome member_hear(struct trial *trial, int index)
{
    struct answer answer;
    ssize_t got;
    do
        got = recv(trial->members[index].control, &answer, sizeof answer, MSG_WAITALL);
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof answer)
        broken("member %d does not answer", index);
    trial->drained += answer.taken;
    trial->endless += answer.endless;
    return answer.outcome;
}

struct outcome member_do(struct trial *trial, int index, enum operation operation)
{
    member_send(trial, index, operation, trial->question->option, 0);
    return member_hear(trial, index);
}

void member_speak(struct trial *trial, int index, const struct address *to)
{
    struct command command;
    memset(&command, 0, sizeof command);
    command.operation = SPEAK;
    command.address = *to;
    command_member(trial, index, &command);
    struct outcome outcome = member_hear(trial, index);
    if (outcome.call != NO_CALL)
        broken("member %d cannot speak: %s: %s", index, call_name(outcome.call),
               errno_name(outcome.error));
}

struct outcome member_connect(struct trial *trial, int index, int answers,
                              const struct address *client)
{
    struct command command = command_of(trial, CONNECT, trial->option);
    command.index = answers;
    command.client = *client;
    command_member(trial, index, &command);
    return member_hear(trial, index);
}

struct outcome member_bind(struct trial *trial, int index, int option, int late)
{
    member_send(trial, index, BIND, option, late);
    return member_hear(trial, index);
}

/* Another program may take the port after it was reserved.  Then another port is reserved, and the
 * retry is counted. */
struct outcome member_bind_first(struct trial *trial, int index)
{
    struct outcome outcome = member_bind(trial, index, trial->option, 0);
    while (outcome.call == CALL_BIND && outcome.error == EADDRINUSE && trial->binds == 0
           && trial->retries < RESERVATIONS) {
        emit_fact("reserve-retries", ++trial->retries);
        reserve_port(trial);
        outcome = member_bind(trial, index, trial->option, 0);
    }
    need_family(trial, outcome);
    if (outcome.call == CALL_SETSOCKOPT)
        unsupported(trial, "setsockopt(%s): %s", option_label(trial->option),
                    errno_name(outcome.error));
    if (outcome.call == CALL_SOCKET)
        broken("member %d has no socket: %s", index, errno_name(outcome.error));
    return outcome;
}

static struct outcome stand(struct trial *trial, int index, int *bind, int *listen)
{
    struct outcome outcome = member_bind_first(trial, index);
    *bind = *listen = -1;
    if (outcome.call == NO_CALL) {
        *bind = trial->binds++;
        if (!trial->question->udp) {
            outcome = member_do(trial, index, LISTEN);
            if (outcome.call == NO_CALL)
                *listen = trial->listens++;
        }
    }
    return outcome;
}

int member_stand(struct trial *trial, int index)
{
    int bind, listen;
    struct outcome outcome = stand(trial, index, &bind, &listen);
    emit_member(index, bind, listen, outcome);
    return outcome.call == NO_CALL ? 0 : -1;
}

struct outcome member_stand_again(struct trial *trial, int index)
{
    int bind, listen;
    return stand(trial, index, &bind, &listen);
}

int members_stand(struct trial *trial, int count)
{
    for (int i = 0; i < count; i++)
        if (member_stand(trial, i) != 0)
            return -1;
    return 0;
}

/* Sends the signal (0: none) and waits until the process has ended or stopped. */
static int signal_member(struct trial *trial, int index, int number)
{
    struct member *member = &trial->members[index];
    pid_t seen;
    if (number != 0 && kill(member->pid, number) != 0)
        return errno;
    do
        seen = waitpid(member->pid, NULL, number == SIGSTOP ? WUNTRACED : 0);
    while (seen < 0 && errno == EINTR);
    if (number != SIGSTOP)
        member->pid = 0;
    return 0;
}

int member_fail_quietly(struct trial *trial, int index, int failure)
{
    static const enum operation operations[] = {
        [CLOSE] = CLOSE_LISTENER, [SHUTDOWN] = SHUT_DOWN, [RELISTEN_ZERO] = LISTEN_ZERO
    };
    int error = 0;
    if (failure == KILL || failure == HANG) {
        error = signal_member(trial, index, failure == KILL ? SIGKILL : SIGSTOP);
    } else if (failure == EXIT) {
        member_send(trial, index, LEAVE_PROCESS, 0, 0);
        error = signal_member(trial, index, 0);
    } else {
        error = member_do(trial, index, operations[failure]).error;
    }
    return error;
}

void member_fail(struct trial *trial, int index, int failure)
{
    int error = member_fail_quietly(trial, index, failure);
    emit_change(trial, failure_name(failure), index, error);
}
