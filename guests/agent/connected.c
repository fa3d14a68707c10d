/* `connected`: beside the group, members have sockets at its address and port that are connected to
 * one client each, as servers of QUIC and DTLS do.  Do the other clients' flows move, and does each
 * client still reach the socket that is connected to it? */
#include "scenarios.h"

#include "addresses.h"
#include "emit.h"
#include "ending.h"
#include "errno_name.h"
#include "flow.h"
#include "flows.h"
#include "limits.h"
#include "members.h"
#include "outcome.h"
#include "ports.h"
#include "trial.h"
#include "unsupported.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>

/* The clients of their own, of whom the last members' sockets have the highest indexes. */
static int clients_of(const struct trial *trial)
{
    return trial->question->sockets - trial->question->listeners;
}

/* A client of TCP listens at its port, and so a member can connect to it.  It stays until the
 * process ends. */
static void client_listens(const struct trial *trial, const struct address *place)
{
    int fd = socket(place->storage.ss_family, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&place->storage, place->size) != 0
        || listen(fd, trial->question->listeners) != 0)
        broken("a client cannot listen: %s", errno_name(errno));
}

/* Each member in turn connects to a client; returns the first call that the kernel refused. */
static struct outcome connect_all(struct trial *trial, struct flow *own)
{
    struct outcome outcome = { NO_CALL, 0 };
    int members = trial->question->listeners;
    for (int i = 0; i < clients_of(trial) && outcome.call == NO_CALL; i++) {
        struct address client = address_of_peer(trial, own[i].port);
        if (!trial->question->udp) {
            struct address place = address_of_client(trial, own[i].port);
            client_listens(trial, &place);
        }
        outcome = member_connect(trial, i % members, members + i, &client);
    }
    return outcome;
}

static void close_all(struct trial *trial)
{
    for (int i = 0; i < trial->question->listeners; i++)
        member_do(trial, i, CLOSE_LISTENER);
}

/* The same members stand in the same order; returns the first call that the kernel refused. */
static struct outcome stand_again(struct trial *trial)
{
    struct outcome outcome = { NO_CALL, 0 };
    for (int i = 0; i < trial->question->listeners && outcome.call == NO_CALL; i++)
        outcome = member_stand_again(trial, i);
    return outcome;
}

/* Before the group forms: its listeners close, and stand again beside what is connected.  The
 * control has done the same without that. */
static int connects(struct trial *trial, struct flow *own)
{
    int early = trial->question->connecting == BEFORE_GROUP;
    struct outcome outcome;
    if (early)
        close_all(trial);
    outcome = connect_all(trial, own);
    emit_attempt("connects", outcome);
    if (outcome.call == NO_CALL && early) {
        outcome = stand_again(trial);
        emit_attempt("stands", outcome);
    }
    return outcome.call == NO_CALL ? 0 : -1;
}

static void control(struct trial *trial, struct flow *flows, int count)
{
    flows_serve(trial, "before", flows, count);
    if (trial->question->connecting == BEFORE_GROUP) {
        close_all(trial);
        struct outcome outcome = stand_again(trial);
        if (outcome.call != NO_CALL)
            broken("the group cannot stand again: %s: %s", call_name(outcome.call),
                   errno_name(outcome.error));
    }
    flows_serve(trial, "again", flows, count);
}

/* A group of TCP is asked only what becomes of the others' flows. */
void connected(struct trial *trial)
{
    const struct question *question = trial->question;
    int count = question->flows, members = question->listeners;
    if (clients_of(trial) < 1)
        unsupported(trial, "no socket is left to be connected");
    reserve_port(trial);
    need_descriptors(trial, count + question->sockets);
    members_fork(trial, members);
    trial->indexes = question->sockets;
    if (members_stand(trial, members) != 0)
        return;
    struct flow *flows = flows_new(trial, count), *own = flows_new(trial, clients_of(trial));
    flows_serve(trial, "met", own, clients_of(trial));
    control(trial, flows, count);
    if (connects(trial, own) == 0) {
        flows_serve(trial, "after", flows, count);
        if (question->udp) {
            flows_serve(trial, "own", own, clients_of(trial));
            member_fail(trial, members / 2, KILL);
            flows_serve(trial, "own-left", own, clients_of(trial));
        }
    }
    flows_end(trial, own, clients_of(trial));
    flows_end(trial, flows, count);
}
