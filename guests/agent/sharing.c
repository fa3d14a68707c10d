/* May two sockets have one port?  `sharing`: what each call says, and who serves if both may;
 * `intrusion`: may a newcomer with other options, or of another user, take a server's flows? */
#include "scenarios.h"

#include "confirm.h"
#include "emit.h"
#include "errno_name.h"
#include "flow.h"
#include "flows.h"
#include "limits.h"
#include "members.h"
#include "outcome.h"
#include "ports.h"
#include "sockets.h"
#include "trial.h"
#include "unsupported.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

enum { TRAFFIC = 16 };

static int attempt(struct trial *trial, int index, const char *what, int option, int late)
{
    struct outcome outcome = member_bind(trial, index, option, late);
    if (outcome.call == NO_CALL && !trial->question->udp)
        outcome = member_do(trial, index, LISTEN);
    emit_attempt(what, outcome);
    return outcome.call == NO_CALL ? 0 : -1;
}

static void need_root(struct trial *trial)
{
    if (geteuid() != 0)
        unsupported(trial, "needs root: only root can become another user");
}

static void become_other(struct trial *trial, int index)
{
    struct outcome outcome = member_do(trial, index, CHANGE_UID);
    if (outcome.call != NO_CALL)
        unsupported(trial, "needs root: setuid: %s", errno_name(outcome.error));
}

/* The server closes first, so that TIME_WAIT is at its end (RFC 9293 3.6).  A second connection
 * shows that the last segment of the first has arrived before the listener closes. */
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
    flows_end(trial, flow, 1);
    flows_serve(trial, NULL, next, 1);
    flows_end(trial, next, 1);
    member_do(trial, 0, CLOSE_LISTENER);
}

void sharing(struct trial *trial)
{
    int way = trial->question->sharing, option = trial->question->option;
    if (way == TIME_WAIT && trial->question->udp)
        unsupported(trial, "datagrams leave no TIME_WAIT");
    if (way == OTHER_UID || way == ROOT_OVER_USER)
        need_root(trial);
    reserve_port(trial);
    need_descriptors(trial, TRAFFIC);
    members_fork(trial, 2);
    if (way == OTHER_UID || way == ROOT_OVER_USER)
        become_other(trial, way == OTHER_UID);
    if (attempt(trial, 0, "first", way == ONLY_SECOND ? NONE : option, way == AFTER_BIND) != 0)
        return;
    if (way == TIME_WAIT)
        leave_time_wait(trial);
    option = way == ONLY_FIRST ? NONE : option;
    if (attempt(trial, 1, "second", option, way == SECOND_AFTER_BIND) != 0 || way == TIME_WAIT)
        return;
    flows_serve_new(trial, "traffic", TRAFFIC);
}

/* Where both addresses are asked for, the server has the wildcard and the newcomer the specific one.
 * The server served all flows before, so those that the newcomer serves were taken from it. */
void intrusion(struct trial *trial)
{
    const struct question *question = trial->question;
    int count = question->flows, second = question->second < 0 ? question->option : question->second;
    if (option_missing(second) != NULL)
        unsupported(trial, "%s", option_missing(second));
    if (question->user != SAME_USER)
        need_root(trial);
    reserve_port(trial);
    need_descriptors(trial, count);
    members_fork(trial, 2);
    if (question->user != SAME_USER)
        become_other(trial, question->user == OTHER_USER);
    if (member_stand(trial, 0) != 0)
        return;
    struct flow *flows = flows_new(trial, count);
    flows_serve(trial, "before", flows, count);
    trial->wildcard = question->wildcard == WILDCARD;
    if (attempt(trial, 1, "joins", second, 0) == 0) {
        flows_serve(trial, "after", flows, count);
        int sole = sole_server(flows, count);
        confirm_addresses(trial, "addresses", sole, 2);
        confirm_speakers(trial, sole, 2);
    }
    flows_end(trial, flows, count);
}
