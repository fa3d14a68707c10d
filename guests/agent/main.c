/* The agent: asks one kernel one question, and says what it saw (docs/wire.md). */
#include "tun_tcp.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    void (*run)(struct trial *);
    int datagrams; /* has a UDP form */
    int backlog;   /* of listen(), unless the question says another */
} scenarios[] = {
    { "facts", facts, 1, 1024 },
    { "sharing", sharing, 1, 1024 },
    { "distribution", distribution, 1, 1024 },
    { "server-port", server_port, 0, 1024 },
    { "listen-order", listen_order, 0, 1024 },
    { "takeover", takeover, 1, 1024 },
    { "fallback", fallback, 1, 1024 },
    { "failure-established", failure_established, 0, 1024 },
    { "failure-queued", failure_queued, 0, 1024 },
    { "failure-handshake", failure_handshake, 0, 1024 },
    { "failure-arrivals", failure_arrivals, 1, 1024 },
    { "failure-flows", failure_flows, 1, 1024 },
    { "failure-hung", failure_hung, 1, 16 },
    { "bound-only", bound_only, 0, 1024 },
    { "last-gone", last_gone, 0, 1024 },
    { "precedence", precedence, 1, 1024 },
    { "group-limit", group_limit, 1, 1024 },
    { "drain", drain, 0, 1024 },
    { "datagrams", datagrams, 1, 1024 },
};

enum { SCENARIOS = sizeof scenarios / sizeof scenarios[0] };

/* What the alarm and the ways out have to clear away; one question is one process. */
static struct trial *asking;

static int scenario_index(const char *name)
{
    for (int i = 0; i < SCENARIOS; i++)
        if (strcmp(scenarios[i].name, name) == 0)
            return i;
    return -1;
}

int scenario_exists(const char *name)
{
    return scenario_index(name) >= 0;
}

/* Members first, so that the guard never sees a question that has ended before them. */
static void clear_away(void)
{
    if (asking != NULL)
        members_kill(asking);
    link_close();
    metronome_kill();
}

/* The question ends itself by the signal, so that who asked sees why, and leaves nobody behind. */
static void on_alarm(int number)
{
    clear_away();
    signal(number, SIG_DFL);
    raise(number);
}

void broken(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("agent: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    clear_away();
    _exit(EXIT_BROKEN);
}

void unsupported(struct trial *trial, const char *format, ...)
{
    char why[200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    emit_unsupported(why);
    emit_end(trial, metronome_stop());
    clear_away();
    exit(EXIT_UNSUPPORTED);
}

/* The guest has not what the question takes: no failure of ours, and asking again would not help. */
void short_of(const char *format, ...)
{
    char what[150];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    unsupported(asking, "this guest is short of %s", what);
}

static void install_alarm(int seconds)
{
    struct sigaction action;
    sigset_t only;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_alarm;
    sigemptyset(&action.sa_mask);
    sigaction(SIGALRM, &action, NULL);
    sigemptyset(&only);
    sigaddset(&only, SIGALRM);
    sigprocmask(SIG_UNBLOCK, &only, NULL);
    alarm((unsigned)seconds);
}

/* The others hold connections open or leave a member behind: that is for sockets. */
static int plays_peer(void (*run)(struct trial *))
{
    return run == distribution || run == server_port || run == failure_flows
        || run == failure_handshake;
}

/* What listen() is given is cut to the system's limit, and tells nobody (linux: __sys_listen();
 * freebsd: solisten_proto()): what is in flight must fit the queue as it is, not as it was asked
 * for.  A limit of 0 or less, as of a name that is unknown, is none. */
static int backlog_within_limits(int backlog)
{
    static const char *const names[] = { "net.core.somaxconn", "kern.ipc.somaxconn",
                                         "kern.somaxconn" };
    char text[128];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (platform_tunable(names[i], text, sizeof text) != 0)
            continue;
        long limit = strtol(text, NULL, 10);
        if (limit > 0 && limit < backlog)
            backlog = (int)limit;
    }
    return backlog;
}

/* Asks in this process, which ends with it. */
void scenario_ask(const char *name, const struct question *question)
{
    int index = scenario_index(name);
    struct trial *trial = malloc(sizeof *trial);
    if (trial == NULL)
        broken("no memory");
    trial_open(trial, question);
    trial->backlog = question->backlog >= 0 ? question->backlog : scenarios[index].backlog;
    trial->backlog = backlog_within_limits(trial->backlog);
    asking = trial;
    install_alarm(question->alarm);
    emit_begin(trial, name);
    if (metronome_missing() != 0)
        short_of("processes: no metronome: fork: %s", errno_name(metronome_missing()));
    if (question->raise_loopback)
        raise_loopback(trial);
    if (question->obstacle[0] != '\0')
        unsupported(trial, "%s", question->obstacle);
    if (index != 0 && option_missing(question->option) != NULL)
        unsupported(trial, "%s", option_missing(question->option));
    if (question->udp && !scenarios[index].datagrams)
        unsupported(trial, "%s has no UDP form", name);
    if (question->wildcard == MIXED && scenarios[index].run != precedence)
        unsupported(trial, "%s has no form with both addresses", name);
    if (question->peer == TUN && (question->udp || !plays_peer(scenarios[index].run)))
        unsupported(trial, "%s has no form with a far end of our own", name);
    if (question->peer == TUN)
        link_open(trial);
    scenarios[index].run(trial);
    members_end(trial);
    link_close();
    if (trial->rebinds > 0)
        emit_fact("rebind-retries", trial->rebinds);
    if (trial->resends > 0)
        emit_fact("send-retries", trial->resends);
    if (strchr(question->tunables, '=') != NULL)
        each_tunable(question->tunables);
    emit_end(trial, metronome_stop());
    free(trial);
    exit(0);
}

static int usage(const char *why)
{
    fprintf(stderr, "agent: %s\n"
            "usage: agent SCENARIO [KEY=VALUE]... | agent batch [jobs=N] | agent scenarios\n", why);
    return EXIT_USAGE;
}

static int batch(int count, char **words)
{
    int jobs = 1, used = 0;
    if (count > 1 || (count == 1 && (sscanf(words[0], "jobs=%3d%n", &jobs, &used) != 1
                                     || words[0][used] != '\0' || jobs < 1 || jobs > MAX_JOBS)))
        return usage("batch takes jobs=N, 1 to 64");
    return ask_batch(jobs);
}

int main(int count, char **words)
{
    struct question question = { .id = "-" };
    signal(SIGPIPE, SIG_IGN);
    platform_take_turns(1);
    if (count < 2)
        return usage("which scenario?");
    if (strcmp(words[1], "batch") == 0)
        return batch(count - 2, words + 2);
    if (strcmp(words[1], "scenarios") == 0) {
        for (int i = 0; i < SCENARIOS; i++)
            puts(scenarios[i].name);
        return fflush(stdout) == 0 ? 0 : EXIT_BROKEN;
    }
    if (!scenario_exists(words[1])) {
        fprintf(stderr, "agent: unknown scenario\n");
        return EXIT_UNSUPPORTED;
    }
    const char *wrong = question_parse(&question, words + 2, count - 2);
    return wrong != NULL ? usage(wrong) : ask_alone(words[1], &question);
}
