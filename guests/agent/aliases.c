/* Clients with an address each, and the loopback interface's aliases that this may take.
 *
 * A hash may take nothing but addresses, and with one client address it looks like an order
 * (docs/traps.md, trap 15).  Where the interface has one address only, it gets more while the
 * question lasts.  The ports that make them are no other question's (ports.c), and so are the
 * addresses.  A keeper takes them away when the question is over, however it ended: it is a process
 * in a session of its own, which whoever kills the question's process group leaves alone.  If the
 * keeper was killed, the question does it. */
#include "aliases.h"

#include "addresses.h"
#include "clock.h"
#include "ending.h"
#include "flow.h"
#include "platform_alias.h"
#include "ports.h"
#include "trial.h"

#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    BIND_TRIES = 300,
    STAND_TRIES = 200, /* 5 ms each: an address may take a moment to stand */
    MOST_OPEN = 1024   /* descriptors that a question has beside those of its flows */
};

static struct {
    struct address *places;
    int count, lifeline;
    pid_t keeper;
} aliases;

static int try_bind(const struct trial *trial, const struct address *place)
{
    const struct sockaddr *to = (const struct sockaddr *)&place->storage;
    int fd = socket(to->sa_family, trial->question->udp ? SOCK_DGRAM : SOCK_STREAM, 0);
    if (fd < 0)
        return errno;
    int error = bind(fd, to, place->size) == 0 ? 0 : errno;
    close(fd);
    return error;
}

/* 0, or -1 if one could not be taken away.  Who may not take it away, or whose kernel has no such
 * request (gVisor: ENOTTY), could not add it. */
static int take_away(void)
{
    int failed = 0;
    for (int i = 0; i < aliases.count; i++) {
        int error = platform_alias_remove(&aliases.places[i]);
        failed |= error != 0 && error != EADDRNOTAVAIL && error != EPERM && error != EACCES
            && error != ENOTTY;
    }
    return failed ? -1 : 0;
}

/* Waits for the end of the question.  It closes all that the question has open: the host waits
 * until no process has its streams open, and a connection ends with its last descriptor. */
static void keep(int lifeline, int most)
{
    char nothing;
    ssize_t got;
    setsid();
    signal(SIGALRM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    alarm(0);
    for (int fd = 0; fd < most; fd++)
        if (fd != lifeline)
            close(fd);
    send(lifeline, "!", 1, 0);
    do
        got = recv(lifeline, &nothing, 1, 0);
    while (got > 0 || (got < 0 && errno == EINTR));
    _exit(take_away() == 0 ? 0 : EXIT_BROKEN);
}

/* Async-signal-safe. */
static int remove_all(void)
{
    int status = 0, failed = 0;
    if (aliases.keeper <= 0)
        return 0;
    close(aliases.lifeline);
    while (waitpid(aliases.keeper, &status, 0) < 0 && errno == EINTR)
        continue;
    aliases.keeper = 0;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        failed = take_away();
    return failed;
}

static void clear(void *unused)
{
    (void)unused;
    remove_all();
}

void aliases_end(void)
{
    if (remove_all() != 0)
        broken("addresses of the loopback interface cannot be taken away");
}

/* Before the first address is there, the keeper knows them all and has left the process group.  0,
 * or the errno. */
static int start_keeper(const struct trial *trial)
{
    int ends[2];
    char ready;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        return errno;
    at_end(clear, NULL);
    aliases.lifeline = ends[1];
    pid_t keeper = fork();
    int error = errno;
    if (keeper == 0)
        keep(ends[0], MOST_OPEN + 8 * trial->question->flows);
    close(ends[0]);
    if (keeper < 0)
        close(ends[1]);
    aliases.keeper = keeper;
    if (keeper > 0 && recv(ends[1], &ready, 1, 0) != 1)
        broken("the keeper of the aliases is gone");
    return keeper < 0 ? error : 0;
}

static int add_all(const struct trial *trial)
{
    int error = start_keeper(trial);
    for (int i = 0; i < aliases.count && error == 0; i++)
        error = platform_alias_add(&aliases.places[i]);
    for (int i = 0; i < aliases.count && error == 0; i++)
        for (int tries = 0; (error = try_bind(trial, &aliases.places[i])) != 0
             && error == EADDRNOTAVAIL && tries < STAND_TRIES; tries++)
            pause_ms(5);
    if (error != 0)
        aliases_end();
    return error;
}

int aliases_begin(struct trial *trial, struct flow *flows, int count)
{
    aliases.places = calloc((size_t)count, sizeof *aliases.places);
    if (aliases.places == NULL)
        return ENOMEM;
    for (int i = 0; i < count; i++) {
        struct address place;
        int error, tries = 0;
        do {
            flows[i].port = draw_port(trial);
            place = address_of_client(trial, flows[i].port);
            error = try_bind(trial, &place);
        } while (error == EADDRINUSE && ++tries < BIND_TRIES);
        if (error == EADDRNOTAVAIL)
            aliases.places[aliases.count++] = place;
        else if (error != 0)
            return error;
    }
    return aliases.count > 0 ? add_all(trial) : 0;
}
