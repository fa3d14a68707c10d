/* The table of scenarios.  The host has the same list (harness/scenarios/__init__.py). */
#include "catalogue.h"

#include "scenarios.h"

#include <stddef.h>
#include <string.h>

#define TWICE "it takes thousands of ports twice: ask with peer=tun"
#define ALONE "a handshake between sockets completes by itself: ask with peer=tun"

/* Scenarios that do not take peer=tun hold connections open or leave a member behind. */
static const struct scenario scenarios[] = {
    /*                                            tcp udp options mixed plays_peer only_peer */
    { "facts",               facts,               1,  1,  0,      0,    0,         NULL,     1024 },
    { "sharing",             sharing,             1,  1,  1,      0,    0,         NULL,     1024 },
    { "intrusion",           intrusion,           1,  1,  1,      1,    0,         NULL,     1024 },
    { "distribution",        distribution,        1,  1,  1,      0,    1,         NULL,     1024 },
    { "one-listener",        one_listener,        1,  0,  0,      0,    0,         NULL,     1024 },
    { "server-port",         server_port,         1,  0,  1,      0,    1,         TWICE,    1024 },
    { "listen-order",        listen_order,        1,  0,  1,      0,    0,         NULL,     1024 },
    { "steering",            steering,            1,  1,  1,      0,    0,         NULL,     1024 },
    { "takeover",            takeover,            1,  1,  1,      0,    0,         NULL,     1024 },
    { "fallback",            fallback,            1,  1,  1,      0,    0,         NULL,     1024 },
    { "failure-established", failure_established, 1,  0,  1,      0,    0,         NULL,     1024 },
    { "failure-queued",      failure_queued,      1,  0,  1,      0,    0,         NULL,     1024 },
    { "failure-handshake",   failure_handshake,   1,  0,  1,      0,    1,         ALONE,    1024 },
    { "failure-arrivals",    failure_arrivals,    1,  1,  1,      0,    0,         NULL,     1024 },
    { "failure-flows",       failure_flows,       1,  1,  1,      0,    1,         NULL,     1024 },
    { "failure-hung",        failure_hung,        1,  1,  1,      0,    0,         NULL,       16 },
    { "orphans",             orphans,             1,  1,  1,      0,    0,         NULL,     1024 },
    { "bound-only",          bound_only,          1,  0,  1,      0,    0,         NULL,     1024 },
    { "backlog",             backlog,             1,  0,  1,      0,    0,         NULL,       16 },
    { "last-gone",           last_gone,           1,  0,  1,      0,    0,         NULL,     1024 },
    { "precedence",          precedence,          1,  1,  1,      1,    0,         NULL,     1024 },
    { "confined",            confined,            1,  1,  1,      0,    0,         NULL,     1024 },
    { "group-limit",         group_limit,         1,  1,  1,      0,    0,         NULL,     1024 },
    { "drain",               drain,               1,  0,  1,      0,    0,         NULL,     1024 },
    { "datagrams",           datagrams,           0,  1,  1,      0,    0,         NULL,     1024 },
    { "connected",           connected,           1,  1,  1,      0,    0,         NULL,     1024 },
    { "restart",             restart,             1,  0,  0,      0,    0,         NULL,     1024 },
};

enum { SCENARIOS = sizeof scenarios / sizeof scenarios[0] };

const struct scenario *scenario_named(const char *name)
{
    for (int i = 0; i < SCENARIOS; i++)
        if (strcmp(scenarios[i].name, name) == 0)
            return &scenarios[i];
    return NULL;
}

const struct scenario *scenario_at(int place)
{
    return place < SCENARIOS ? &scenarios[place] : NULL;
}
