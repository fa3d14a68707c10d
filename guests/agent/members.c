/* The members as their parent sees them: forked early, told what to do one step at a time. */
#include "tun_tcp.h"

#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { RESERVATIONS = 5 };

/* SIGKILL also ends what is stopped. */
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

/* Forked before this process has any socket of the question, so a child inherits none of them;
 * its siblings' channels it closes, or their end would never be seen. */
static void fork_members(struct trial *trial, int count,
                         void (*run)(const struct trial *, int index, int control))
{
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
            signal(SIGALRM, SIG_DFL);
            close(ends[0]);
            metronome_forget();
            link_forget();
            for (int j = 0; j < i; j++)
                close(trial->members[j].control);
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
    fork_members(trial, count, worker_run);
}

void crowd_fork(struct trial *trial)
{
    trial->indexes = trial->question->sockets;
    fork_members(trial, 1, crowd_run);
}

/* A member that died unasked has lost flows that no kernel lost. */
void members_end(struct trial *trial)
{
    for (int i = 0; i < trial->member_count; i++) {
        int status;
        pid_t pid = trial->members[i].pid;
        if (pid <= 0 || waitpid(pid, &status, WNOHANG) != pid)
            continue;
        trial->members[i].pid = 0;
        broken("member %d ended unasked, with %s %d", i, WIFEXITED(status) ? "status" : "signal",
               WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    }
    kill_members(trial);
}

void member_send(struct trial *trial, int index, enum operation operation, int option, int late)
{
    struct command command;
    memset(&command, 0, sizeof command);
    command.operation = operation;
    command.option = option;
    command.family = trial->family;
    command.late = late;
    command.address = address_of_member(trial);
    if (send(trial->members[index].control, &command, sizeof command, 0) != sizeof command)
        broken("member %d does not take commands: %s", index, errno_name(errno));
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
    return (struct outcome){ call_names[answer.call], answer.error };
}

struct outcome member_do(struct trial *trial, int index, enum operation operation)
{
    member_send(trial, index, operation, trial->question->option, 0);
    return member_hear(trial, index);
}

struct outcome member_bind(struct trial *trial, int index, int option, int late)
{
    member_send(trial, index, BIND, option, late);
    return member_hear(trial, index);
}

/* The first socket of a group has the port for itself, unless somebody took it after it was
 * reserved: then another port is reserved, and the try is counted. */
struct outcome member_bind_first(struct trial *trial, int index)
{
    struct outcome outcome = member_bind(trial, index, trial->option, 0);
    while (outcome.call != NULL && strcmp(outcome.call, "bind") == 0
           && outcome.error == EADDRINUSE && trial->binds == 0 && trial->retries < RESERVATIONS) {
        emit_fact("reserve-retries", ++trial->retries);
        reserve_port(trial);
        outcome = member_bind(trial, index, trial->option, 0);
    }
    need_family(trial, outcome);
    if (outcome.call != NULL && strcmp(outcome.call, "setsockopt") == 0)
        unsupported(trial, "setsockopt(%s): %s",
                    trial->option >= REUSEPORT_LB ? "SO_REUSEPORT_LB" : "SO_REUSEPORT",
                    errno_name(outcome.error));
    if (outcome.call != NULL && strcmp(outcome.call, "socket") == 0)
        broken("member %d has no socket: %s", index, errno_name(outcome.error));
    return outcome;
}

/* Binds and listens at once; 0, or -1 if the kernel refuses, which is said and is an answer. */
int member_stand(struct trial *trial, int index)
{
    int bind = -1, listen = -1;
    struct outcome outcome = member_bind_first(trial, index);
    if (outcome.call == NULL) {
        bind = trial->binds++;
        if (!trial->question->udp) {
            outcome = member_do(trial, index, LISTEN);
            if (outcome.call == NULL)
                listen = trial->listens++;
        }
    }
    emit_member(index, bind, listen, outcome);
    return outcome.call == NULL ? 0 : -1;
}

int members_stand(struct trial *trial, int count)
{
    for (int i = 0; i < count; i++)
        if (member_stand(trial, i) != 0)
            return -1;
    return 0;
}

/* Waits until the process has ended or stopped, so that what follows comes after it. */
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

void member_fail(struct trial *trial, int index, int failure)
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
    emit_change(trial, failure_name(failure), index, error);
}

static int member_at(int place, int count)
{
    return place == FIRST ? 0 : place == LAST ? count - 1 : count / 2;
}

/* The member asked for, unless it served none of these flows: then the one that served most. */
int busiest(const struct trial *trial, const struct flow *flows, int count, int asked)
{
    int served[MAX_MEMBERS] = { 0 };
    int most = asked;
    for (int i = 0; i < count; i++)
        if (flows[i].fate == SERVED)
            served[flows[i].answered[0]]++;
    if (served[asked] > 0)
        return asked;
    for (int i = 0; i < trial->member_count; i++)
        if (served[i] > served[most])
            most = i;
    return most;
}

int victim(const struct trial *trial, const struct flow *flows, int count)
{
    int asked = member_at(trial->question->member, trial->question->listeners);
    return busiest(trial, flows, count, asked);
}
