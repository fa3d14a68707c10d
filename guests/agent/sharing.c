/* Whether two sockets may stand on one port: each one's calls, and who is served if both do. */
#include "agent.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

enum { TRAFFIC = 16 };

static int attempt(struct trial *trial, int index, const char *what, int option, int late)
{
    struct outcome outcome = member_bind(trial, index, option, late);
    if (outcome.call == NULL && !trial->question->udp)
        outcome = member_do(trial, index, LISTEN);
    emit_attempt(what, outcome);
    return outcome.call == NULL ? 0 : -1;
}

static void become_other(struct trial *trial, int index)
{
    struct outcome outcome = member_do(trial, index, CHANGE_UID);
    if (outcome.call != NULL)
        unsupported(trial, "needs root: setuid: %s", errno_name(outcome.error));
}

/* The server ends first, so that the TIME_WAIT is on its side (RFC 9293 3.6); a second connection
 * proves that the first one's last segment has been through before the listener goes. */
static void leave_time_wait(struct trial *trial)
{
    struct linger none = { .l_onoff = 0 };
    struct flow *flow = flows_new(trial, 1), *next = flows_new(trial, 1);
    flows_hold(trial, NULL, flow, 1);
    if (flow->fate != SERVED)
        unsupported(trial, "no connection can be left in TIME_WAIT: the first was not served");
    member_do(trial, 0, END_CONNECTIONS);
    struct pollfd end = { .fd = flow->fd, .events = POLLIN };
    char byte;
    if (poll(&end, 1, trial->question->deadline) != 1 || recv(flow->fd, &byte, 1, 0) != 0
        || setsockopt(flow->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none) != 0)
        unsupported(trial, "no connection can be left in TIME_WAIT: the first did not end");
    flows_end(flow, 1);
    flows_serve(trial, NULL, next, 1);
    flows_end(next, 1);
    member_do(trial, 0, CLOSE_LISTENER);
}

void sharing(struct trial *trial)
{
    int way = trial->question->sharing, option = trial->question->option;
    if (way == TIME_WAIT && trial->question->udp)
        unsupported(trial, "datagrams leave no TIME_WAIT");
    if ((way == OTHER_UID || way == ROOT_OVER_USER) && geteuid() != 0)
        unsupported(trial, "needs root: only root can become another user");
    reserve_port(trial);
    need_descriptors(trial, TRAFFIC);
    members_fork(trial, 2);
    if (way == OTHER_UID || way == ROOT_OVER_USER)
        become_other(trial, way == OTHER_UID);
    if (attempt(trial, 0, "first", way == ONLY_SECOND ? NONE : option, way == AFTER_BIND) != 0)
        return;
    if (way == TIME_WAIT)
        leave_time_wait(trial);
    if (attempt(trial, 1, "second", way == ONLY_FIRST ? NONE : option, 0) != 0 || way == TIME_WAIT)
        return;
    struct flow *flows = flows_new(trial, TRAFFIC);
    flows_serve(trial, "traffic", flows, TRAFFIC);
    flows_end(flows, TRAFFIC);
}
