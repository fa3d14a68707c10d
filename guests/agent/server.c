/* A server of a plan, as the question sees it: its keeper does what it is told. */
#include "server.h"

#include "clock.h"
#include "dialogue.h"
#include "ending.h"
#include "errno_name.h"
#include "plan.h"
#include "platform_place.h"
#include "server_keeper.h"
#include "trial.h"
#include "unsupported.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { GOING = 3000, SLICE = 5 };

static struct {
    pid_t keeper;
    int channel, own_folder; /* the folder is outside the server's system */
    char folder[256];
} server;

/* It ends all by itself, but must not outlast the question.  Async-signal-safe. */
static void clear(void *unused)
{
    int waited = 0;
    pid_t seen = 0;
    (void)unused;
    if (server.keeper <= 0)
        return;
    close(server.channel);
    while ((seen = waitpid(server.keeper, NULL, WNOHANG)) == 0 && waited < GOING) {
        pause_ms(SLICE);
        waited += SLICE;
    }
    if (seen == 0) {
        kill(server.keeper, SIGKILL);
        while (waitpid(server.keeper, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    server.keeper = 0;
    if (server.own_folder)
        rmdir(server.folder);
}

void server_end(void)
{
    clear(NULL);
}

void server_tell(enum server_order order)
{
    char byte = (char)order;
    if (send(server.channel, &byte, 1, 0) != 1)
        broken("the keeper of the server is gone: %s", errno_name(errno));
}

void server_hear_news(struct server_news *news)
{
    ssize_t got;
    do
        got = recv(server.channel, news, sizeof *news, MSG_WAITALL);
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof *news)
        broken("the keeper of the server is gone");
}

static int try_folder(const char *parent, int length)
{
    snprintf(server.folder, sizeof server.folder, "%.*s/server-XXXXXX", length, parent);
    return mkdtemp(server.folder) != NULL ? 0 : -1;
}

/* Open to other users, because servers become one.  A small guest may have no /tmp. */
static void make_folder(const struct plan *plan, const char *program)
{
    const char *parent = getenv("TMPDIR"), *slash = strrchr(program, '/');
    server.own_folder = plan->root == NULL;
    strcpy(server.folder, "/srv");
    if (plan->root != NULL)
        return;
    if ((parent == NULL || parent[0] != '/' || try_folder(parent, 200) != 0)
        && try_folder("/tmp", 4) != 0
        && (slash == NULL || slash - program > 200
            || try_folder(program, (int)(slash - program)) != 0))
        broken("no folder for a server: %s: %s", server.folder, errno_name(errno));
    if (chmod(server.folder, 0755) != 0)
        broken("chmod: %s: %s", server.folder, errno_name(errno));
}

/* `apart`: with namespaces, or without.  0 if there is no such place, and why. */
static int begin(struct trial *trial, const struct plan *plan, int apart, struct server_news *news)
{
    static struct keeper keeper;
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        broken("socketpair: %s", errno_name(errno));
    keeper = (struct keeper){ .trial = trial, .plan = plan, .folder = server.folder,
                              .apart = apart, .channel = ends[1] };
    dialogue_open(&keeper.dialogue, plan);
    plan_program(keeper.program, sizeof keeper.program);
    make_folder(plan, keeper.program);
    server.channel = ends[0];
    server.keeper = apart ? platform_place_fork() : fork();
    int error = errno;
    if (server.keeper == 0)
        server_keep(&keeper);
    close(ends[1]);
    memset(news, 0, sizeof *news);
    news->outcome = (struct outcome){ CALL_FORK, error };
    if (server.keeper > 0)
        server_hear_news(news);
    else if (server.own_folder)
        rmdir(server.folder);
    if (server.keeper > 0 && news->outcome.call == NO_CALL)
        return 1;
    server_end();
    return 0;
}

int server_begin(struct trial *trial, const struct plan *plan)
{
    static struct server_news news;
    at_end(clear, NULL);
    int stands = begin(trial, plan, 1, &news);
    if (!stands && plan->root != NULL)
        unsupported(trial, "no place for a server with a system of its own: %s%s%s", news.step,
                    news.step[0] != '\0' ? ": " : "", errno_name(news.outcome.error));
    if (!stands && !begin(trial, plan, 0, &news))
        short_of(trial, "processes: fork: %s", errno_name(news.outcome.error));
    if (news.missing)
        unsupported(trial, "%s: %s", trial->question->server, news.step);
    return server.channel;
}
