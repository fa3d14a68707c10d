/* `confirm=order`: where one member serves all, asks what else than an order may decide that.
 *
 * It may be the client's address (docs/traps.md, trap 15), or who has sent last (trap 14).  On a
 * kernel that spreads flows these phases are empty and cost nothing. */
#include "confirm.h"

#include "addresses.h"
#include "aliases.h"
#include "client.h"
#include "emit.h"
#include "ending.h"
#include "errno_name.h"
#include "flow.h"
#include "flows.h"
#include "limits.h"
#include "members.h"
#include "trial.h"

#include <netinet/in.h>

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* SPOKEN: by chance a uniform hash gives all of them to one of four members with 4^-15.
 * ADDRESSES: enough to tell an even spread over four. */
enum { SPOKEN = 16, ADDRESSES = 64, SPEAKERS = 2 };

int sole_server(const struct flow *flows, int count)
{
    int sole = -1;
    for (int i = count > SPOKEN ? count - SPOKEN : 0; i < count; i++) {
        if (flows[i].fate != SERVED || flows[i].answers != 1
            || (sole >= 0 && flows[i].answered[0] != sole))
            return -1;
        sole = flows[i].answered[0];
    }
    return sole;
}

/* Asked for, and the clients are sockets on one address so far. */
static int doubtful(const struct trial *trial)
{
    return trial->question->confirm == ORDER && trial->client->sockets
        && trial->question->delivery == UNICAST;
}

/* 0, or -1 if the clients can have one address only, which is said once. */
static int other_addresses(struct trial *trial)
{
    if (trial->others == NULL) {
        need_descriptors(trial, trial->question->flows + ADDRESSES);
        trial->others = flows_new(trial, ADDRESSES);
        trial->one_address = aliases_begin(trial, trial->others, ADDRESSES);
        if (trial->one_address != 0)
            emit_fact_text("one-address", errno_name(trial->one_address));
    }
    return trial->one_address == 0 ? 0 : -1;
}

void confirm_addresses(struct trial *trial, const char *name, int sole, int standing)
{
    if (!doubtful(trial) || trial->question->source == MANY_ADDRESSES)
        return;
    trial->spread = 1;
    if (sole >= 0 && standing > 1 && other_addresses(trial) == 0)
        flows_serve(trial, name, trial->others, ADDRESSES);
    else
        emit_flows(trial, name, NULL, 0, 0);
    trial->spread = 0;
}

/* A socket that takes what members send to nobody; `to` is its address for a member. */
static int open_sink(const struct trial *trial, struct address *to)
{
    int six = trial->family == IPV6;
    struct address place = address(six ? AF_INET6 : AF_INET, trial->home[six], 0);
    int fd = socket(six ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&place.storage, place.size) != 0
        || getsockname(fd, (struct sockaddr *)&place.storage, &place.size) != 0)
        broken("no socket for members to speak to: %s", errno_name(errno));
    *to = place;
    if (trial->family == MAPPED)
        *to = address(AF_INET6, "::ffff:127.0.0.1",
                      ntohs(((struct sockaddr_in *)(void *)&place.storage)->sin_port));
    return fd;
}

/* Of two members the second speaker is the one that served: it must not serve the flows before. */
void confirm_speakers(struct trial *trial, int sole, int standing)
{
    if (!doubtful(trial) || !trial->question->udp)
        return;
    trial->spread = 0; /* new flows: there are no aliases for their ports */
    for (int turn = 1; turn <= SPEAKERS; turn++) {
        char phase[24], fact[24];
        struct address to;
        snprintf(phase, sizeof phase, "spoke-%d", turn);
        snprintf(fact, sizeof fact, "speaker-%d", turn);
        if (sole < 0 || standing < 2) {
            emit_flows(trial, phase, NULL, 0, 0);
            continue;
        }
        int sink = open_sink(trial, &to), speaker = (sole + turn) % standing;
        member_speak(trial, speaker, &to);
        emit_fact(fact, speaker);
        flows_serve_new(trial, phase, SPOKEN);
        close(sink);
    }
}
