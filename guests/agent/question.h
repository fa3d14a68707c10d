/* One question, as it was asked: docs/wire.md, "Asking". */
#ifndef QUESTION_H
#define QUESTION_H

#include "platform.h"

#include <stdint.h>

enum {
    MAX_LISTENERS = 64,
    MAX_KEPT = 64,        /* connections of `restart` that are used again */
    MAX_FLOWS = 20000,
    MAX_SOCKETS = 1000,   /* of `group-limit`, in one process */
    FULL = 100, LEAST = 25 /* percent of one CPU; a load is 0, or between these */
};

enum option { NONE, REUSEADDR, REUSEPORT, REUSEPORT_LB, REUSEPORT_AND_LB, REUSEADDR_AND_PORT };
enum family { IPV4, IPV6, MAPPED };
enum failure { CLOSE, EXIT, KILL, HANG, SHUTDOWN, RELISTEN_ZERO };
enum place { FIRST, MIDDLE, LAST };
enum position { BOUND_FIRST, BOUND_LAST, BOTH_ORDERS };
enum entry { TOGETHER, IN_TURN };
enum order { NEWEST, OLDEST, MIDDLEMOST };
enum change { LEAVE, JOIN, RESTART, REPLACE };
enum bind { SPECIFIC, WILDCARD, MIXED };
enum user { SAME_USER, OTHER_USER, ROOT };
enum connecting { AFTER_GROUP, BEFORE_GROUP };
enum confinement { IN_NETNS, IN_JAIL, IN_FIB };
enum pair { BY_ADDRESS, BY_OPTION, BY_FAMILY, BY_DEVICE };
enum protocol { TCP, UDP, MPTCP };
enum peer { SOCKETS, TUN, BY_TCP, BY_MPTCP };
enum source { MANY_PORTS, ONE_SENDER, MANY_ADDRESSES };
enum delivery { UNICAST, MULTICAST, BROADCAST };
enum acknowledgement { AT_ONCE, AFTER_REPEAT };
enum accepting { WHEN_DONE, WITH_DATA, FAST_OPEN };
enum confirm { NOTHING, ORDER };
enum program { CBPF, EBPF, CPU };
enum then { THEN_NOTHING, BEYOND, THEN_JOIN, THEN_LEAVE, THEN_RESTART, THEN_DETACH };
enum holder { CHILD, RING };
enum traffic { LIGHT, HEAVY };
enum pace { FULL_SPEED, MEASURED };
enum way {
    BY_CLOSE, BY_SHUTDOWN, BY_LISTEN_ZERO, BY_PASS, BY_INHERIT, ABRUPTLY, AS_VISITOR, ALL_AT_ONCE
};
enum sharing {
    BOTH, ONLY_FIRST, ONLY_SECOND, AFTER_BIND, OTHER_UID, ROOT_OVER_USER, TIME_WAIT,
    SECOND_AFTER_BIND
};

struct question {
    const char *id;
    int option, protocol, family, wildcard, failure, listeners, flows, deadline, alarm;
    int member, order, change, position, joining, sharing, pair, sockets, backlog, raise_loopback;
    int udp;  /* the protocol is UDP */
    int peer; /* TUN: the flows come through a tun device */
    int connecting;
    int acknowledgement, source, delivery;
    int user, second; /* of the newcomer in `intrusion`; `second` is -1: the first one's option */
    int confirm; /* ORDER: where one member serves all, ask what else may decide that */
    int way, rounds, ports, pace;
    int again; /* the backlog of a second listen() */
    int accepting; /* when listeners are told of a connection */
    int waiting; /* how workers of one listener wait for connections */
    int program, then; /* what steers a group, and what happens once it does */
    int inside; /* where half of the members of `confined` are */
    int holder; /* what keeps a listener open that its member has closed */
    int traffic, kept, span; /* how busy the server is; connections that are used again; s */
    const char *server, *restart; /* the plan, and which of its ways; empty: not said */
    int round; /* flows that are under way in one round; 0: all of them, at once */
    int seeded;
    uint32_t seed;
    const char *tunables; /* names whose values to say, or one NAME=VALUE to set */
    const char *obstacle; /* why it could not be set; empty if it could */
    int load;
    int slot, slots; /* its place among the questions that may run at once, and their number */
    char **pairs; /* KEY=VALUE as asked, to be echoed */
    int pair_count;
};

/* Fills in the question from KEY=VALUE words; null, or a sentence that says what is wrong. */
const char *question_parse(struct question *, char **pairs, int count);

/* How the question calls them. */
const char *failure_name(int failure);
const char *way_name(int way);
const char *holder_name(int holder);
const char *program_name(int program);

#endif
