/* `steering`: a program chooses the member that each flow reaches.  Does the kernel follow it, and
 * does it still when members come and leave? */
#include "scenarios.h"

#include "emit.h"
#include "ending.h"
#include "errno_name.h"
#include "flow.h"
#include "flows.h"
#include "group.h"
#include "members.h"
#include "platform_steer.h"
#include "question.h"
#include "sockets.h"
#include "trial.h"
#include "unsupported.h"
#include "victim.h"

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

static void no_program(struct trial *trial, int error)
{
    int root = error == EPERM || error == EACCES;
    if (trial->question->program == CPU && error == ENODEV)
        unsupported(trial, "this guest has one CPU only");
    unsupported(trial, "%s%s cannot steer here: %s", root ? "needs root: " : "",
                program_name(trial->question->program), errno_name(error));
}

/* Tries on a socket that has no address yet. */
static void need_program(struct trial *trial)
{
    static const int kinds[] = { [CBPF] = CLASSIC, [EBPF] = EXTENDED, [CPU] = BY_CPU };
    struct steering *steering = &trial->steering;
    struct outcome outcome;
    int kind = kinds[trial->question->program], count = trial->question->listeners, fd = -1;
    steering->kind = kind;
    steering->six = trial->question->family == IPV6;
    steering->range = count + (trial->question->then == BEYOND);
    if (kind == BY_CPU && trial->question->then != THEN_NOTHING)
        unsupported(trial, "CPUs steer without a program: ask with then=nothing");
    int error = platform_steer_open(steering, count + 1);
    if (error == 0)
        fd = socket_of_member(trial, trial->family, trial->option, &outcome);
    if (fd >= 0)
        error = kind == BY_CPU ? platform_steer_place(steering, fd, 0)
                               : platform_steer_attach(steering, fd);
    if (error != 0)
        no_program(trial, error);
    if (fd >= 0)
        close(fd);
}

/* Members from the last to the first, which attaches the program when all have their places. */
static void steer(struct trial *trial, enum operation operation, int members)
{
    int error = 0;
    for (int i = members - 1; i >= 0 && error == 0; i--)
        error = member_do(trial, i, operation).error;
    emit_change(trial, operation == STEER ? "steer" : "widen", 0, error);
}

/* 0, or -1 if the kernel refuses the newcomer. */
static int join(struct trial *trial)
{
    int newcomer = trial->question->listeners;
    if (member_stand(trial, newcomer) != 0)
        return -1;
    emit_change(trial, "join", newcomer, 0);
    return 0;
}

static void stay(struct trial *trial, int which)
{
    int error = platform_steer_stay(&trial->steering, which);
    if (error != 0)
        broken("a client cannot stay on one CPU: %s", errno_name(error));
}

void steering(struct trial *trial)
{
    int count = trial->question->flows, then = trial->question->then;
    need_program(trial);
    struct flow *flows = group_stands(trial, 1);
    if (flows == NULL)
        return;
    flows_serve(trial, "home", flows, count);
    int leaves = victim(trial, flows, count);
    steer(trial, STEER, trial->question->listeners);
    if (trial->question->program == CPU)
        stay(trial, 0);
    flows_serve(trial, "steered", flows, count);
    if (trial->question->program == CPU) {
        stay(trial, 1);
        flows_serve(trial, "other-cpu", flows, count);
    }
    if ((then == THEN_JOIN || then == THEN_RESTART) && join(trial) != 0) {
        flows_end(trial, flows, count);
        return;
    }
    if (then == THEN_LEAVE || then == THEN_RESTART)
        member_fail(trial, leaves, trial->question->failure);
    if (then == THEN_DETACH)
        emit_change(trial, "detach", 0, member_do(trial, 0, UNSTEER).error);
    if (then != THEN_NOTHING && then != BEYOND)
        flows_serve(trial, "after", flows, count);
    if (then == THEN_JOIN) { /* the control of a newcomer that gets nothing */
        steer(trial, STEER_WIDER, trial->question->listeners + 1);
        flows_serve(trial, "wider", flows, count);
    }
    flows_end(trial, flows, count);
}
