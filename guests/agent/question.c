/* From KEY=VALUE words to a question, strictly: docs/wire.md, "Asking". */
#include "question.h"

#include "platform_tunable.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const options[] = {
    "none", "reuseaddr", "reuseport", "reuseport_lb", "reuseport+reuseport_lb",
    "reuseaddr+reuseport", NULL
};
static const char *const protocols[] = { "tcp", "udp", "mptcp", NULL };
static const char *const families[] = { "ipv4", "ipv6", "mapped", NULL };
static const char *const binds[] = { "specific", "wildcard", "mixed", NULL };
static const char *const pairs_of[] = { "address", "option", "family", "device", NULL };
static const char *const failures[] = {
    "close", "exit", "kill", "hang", "shutdown", "relisten-zero", NULL
};
static const char *const places[] = { "first", "middle", "last", NULL };
static const char *const positions[] = { "first", "last", "both", NULL };
static const char *const joinings[] = { "together", "in-turn", NULL };
static const char *const orders[] = { "newest", "oldest", "middle", NULL };
static const char *const changes[] = { "leave", "join", "restart", "replace", NULL };
static const char *const cases[] = {
    "both", "only-first", "only-second", "after-bind", "other-uid", "root-over-user", "time-wait",
    "second-after-bind", NULL
};
static const char *const users[] = { "same", "other", "root", NULL };
static const char *const connectings[] = { "after", "before", NULL };
static const char *const peers[] = { "sockets", "tun", "tcp", "mptcp", NULL };
static const char *const acknowledgements[] = { "at-once", "after-repeat", NULL };
static const char *const ways[] = {
    "close", "shutdown", "relisten-zero", "pass", "inherit", "abrupt", "visit", "all", NULL
};
static const char *const programs[] = { "cbpf", "ebpf", "cpu", NULL };
static const char *const sequels[] = {
    "nothing", "beyond", "join", "leave", "restart", "detach", NULL
};
static const char *const holders[] = { "child", "ring", NULL };
static const char *const confinements[] = { "netns", "jail", "fib", NULL };
static const char *const paces[] = { "full", "measured", NULL };
static const char *const waits[] = {
    "accept", "poll", "epoll", "epoll-exclusive", "kqueue", NULL
};
static const char *const accepts[] = { "at-once", "with-data", "fast-open", NULL };
static const char *const sources[] = { "many-ports", "one-sender", "many-addresses", NULL };
static const char *const deliveries[] = { "unicast", "multicast", "broadcast", NULL };
static const char *const confirmations[] = { "nothing", "order", NULL };
static const char *const traffics[] = { "light", "heavy", NULL };
static const char *const loopbacks[] = { "as-is", "up", NULL };

const char *failure_name(int failure)
{
    return failures[failure];
}

const char *way_name(int way)
{
    return ways[way];
}

const char *holder_name(int holder)
{
    return holders[holder];
}

const char *program_name(int program)
{
    return programs[program];
}

/* A key takes one of `words`, or a number from `low` to `high`; `at` is the offset of its field. */
struct key {
    const char *name;
    size_t at;
    const char *const *words;
    int low, high;
};

#define WORD(name, member, words) { name, offsetof(struct question, member), words, 0, 0 }
#define NUMBER(name, low, high) { #name, offsetof(struct question, name), NULL, low, high }

static const struct key keys[] = {
    WORD("option", option, options), WORD("protocol", protocol, protocols),
    WORD("family", family, families), WORD("bind", wildcard, binds),
    WORD("failure", failure, failures), WORD("member", member, places),
    WORD("order", order, orders), WORD("change", change, changes),
    WORD("position", position, positions), WORD("joining", joining, joinings),
    WORD("case", sharing, cases), WORD("pair", pair, pairs_of),
    WORD("second", second, options), WORD("user", user, users),
    WORD("connecting", connecting, connectings), WORD("peer", peer, peers), WORD("ack", acknowledgement, acknowledgements),
    WORD("way", way, ways), WORD("pace", pace, paces), WORD("source", source, sources),
    WORD("wait", waiting, waits), WORD("holder", holder, holders),
    WORD("inside", inside, confinements),
    WORD("program", program, programs), WORD("then", then, sequels),
    WORD("accept", accepting, accepts),
    WORD("delivery", delivery, deliveries), WORD("confirm", confirm, confirmations),
    WORD("traffic", traffic, traffics),
    WORD("loopback", raise_loopback, loopbacks), NUMBER(listeners, 1, MAX_LISTENERS),
    NUMBER(flows, 1, MAX_FLOWS), NUMBER(deadline, 1, 600000), NUMBER(alarm, 1, 3600),
    NUMBER(backlog, 0, 65535), NUMBER(again, 0, 65535), NUMBER(sockets, 2, MAX_SOCKETS),
    NUMBER(rounds, 1, 1000), NUMBER(round, 1, MAX_FLOWS), NUMBER(ports, 2, 8),
    NUMBER(load, 0, FULL), NUMBER(kept, 0, MAX_KEPT), NUMBER(span, 1, 600)
};

static int parse_word(const struct key *key, const char *value, int *into)
{
    for (int i = 0; key->words[i] != NULL; i++)
        if (strcmp(key->words[i], value) == 0) {
            *into = i;
            return 0;
        }
    return -1;
}

static int parse_number(const char *value, unsigned long low, unsigned long high,
                        unsigned long *into)
{
    size_t length = strlen(value);
    if (length == 0 || length > 10 || strspn(value, "0123456789") != length)
        return -1;
    *into = strtoul(value, NULL, 10);
    return *into < low || *into > high ? -1 : 0;
}

/* Names, or one name and the number to set it to. */
static int parse_tunables(struct question *question, const char *text)
{
    unsigned long number;
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "0123456789_-.,");
    if (strstr(text, "..") != NULL) /* on some systems a dot becomes a slash */
        return -1;
    if (text[length] != '\0'
        && (text[length] != '=' || length == 0 || length >= TUNABLE
            || memchr(text, ',', length) != NULL
            || parse_number(text + length + 1, 0, 0x7fffffffUL, &number) != 0))
        return -1;
    question->tunables = text;
    return 0;
}

/* It becomes part of a file's name. */
static int parse_name(const char **into, const char *text)
{
    size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");
    *into = text;
    return length == 0 || length > 40 || text[length] != '\0' ? -1 : 0;
}

static int parse_text(struct question *question, const char *name, const char *value)
{
    unsigned long seed;
    if (strcmp(name, "seed") == 0) {
        if (parse_number(value, 0, 0xffffffffUL, &seed) != 0)
            return -1;
        question->seed = (uint32_t)seed;
        question->seeded = 1;
        return 0;
    }
    if (strcmp(name, "server") == 0)
        return parse_name(&question->server, value);
    if (strcmp(name, "restart") == 0)
        return parse_name(&question->restart, value);
    return strcmp(name, "tunables") == 0 ? parse_tunables(question, value) : -1;
}

static int parse_pair(struct question *question, const char *name, const char *value)
{
    unsigned long number;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const struct key *key = &keys[i];
        int *into = (int *)(void *)((char *)question + key->at);
        if (strcmp(key->name, name) != 0)
            continue;
        if (key->words != NULL)
            return parse_word(key, value, into);
        if (parse_number(value, (unsigned long)key->low, (unsigned long)key->high, &number) != 0)
            return -1;
        *into = (int)number;
        return 0;
    }
    return parse_text(question, name, value);
}

/* A `backlog` of -1 stands for the scenario's own.  No key may come twice. */
const char *question_parse(struct question *question, char **pairs, int count)
{
    static char sentence[160];
    const char *id = question->id;
    *question = (struct question){ .id = id, .option = REUSEPORT, .listeners = 4, .flows = 400,
                                   .deadline = 8000, .alarm = 60, .member = MIDDLE,
                                   .position = BOUND_LAST, .backlog = -1, .second = -1, .sockets = 300,
                                   .rounds = 40, .ports = 2, .tunables = "", .server = "", .restart = "",
                                   .kept = 16, .span = 20, .obstacle = "", .pairs = pairs,
                                   .pair_count = count, .slots = 1 };
    for (int i = 0; i < count; i++) {
        char name[32];
        size_t length = strcspn(pairs[i], "=");
        snprintf(name, sizeof name, "%.*s", (int)(length < 31 ? length : 31), pairs[i]);
        int wrong = pairs[i][length] != '=' || length >= sizeof name;
        for (int j = 0; j < i; j++)
            wrong |= strncmp(pairs[i], pairs[j], length + 1) == 0;
        if (wrong || parse_pair(question, name, pairs[i] + length + 1) != 0) {
            snprintf(sentence, sizeof sentence, "not a key and value that is known: %.100s",
                     pairs[i]);
            return sentence;
        }
    }
    question->udp = question->protocol == UDP;
    int light = question->load > 0 && question->load < LEAST;
    return light ? "load is 0, or a quarter of a CPU at least" : NULL;
}
