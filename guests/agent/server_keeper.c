/* The process that keeps one server: it starts it, restarts it, and ends all that it has started.
 *
 * Where the system has namespaces it is the first process of one, and with it all others end: a
 * daemon cannot leave it.  It lives in a session of its own, so that what a server sends to its own
 * process group does not reach the question, and ends once nobody holds the other end of its
 * channel. */
#include "server_keeper.h"

#include "ending.h"
#include "keeper.h"
#include "plan.h"
#include "platform_place.h"
#include "server_processes.h"
#include "server_steps.h"
#include "sockets.h"
#include "trial.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MOST_OPEN = 1024, IDLE = 1000, DISTURBED = 0x5eed };

static void clear(void *keeper)
{
    keeper_end(keeper);
}

static const char *missing_program(const struct plan *plan)
{
    static char path[8192];
    for (int i = 0; i < plan->program_count; i++) {
        const char *folders = server_path();
        int found = 0;
        for (size_t length; !found && *folders != '\0'; folders += length + (folders[length] != 0)) {
            length = strcspn(folders, ":");
            snprintf(path, sizeof path, "%.*s/%s", (int)length, folders, plan->programs[i]);
            found = access(plan->programs[i][0] == '/' ? plan->programs[i] : path, X_OK) == 0;
        }
        if (!found)
            return plan->programs[i];
    }
    return NULL;
}

static void obey(struct keeper *keeper, char order)
{
    static struct server_news news;
    memset(&news, 0, sizeof news);
    if (order == SERVER_START)
        server_start(keeper, &news);
    else if (order == SERVER_RESTART)
        server_take_steps(keeper, &keeper->plan->way, &news);
    else
        server_stop(keeper, &news);
    if (send(keeper->channel, &news, sizeof news, 0) != (ssize_t)sizeof news)
        keeper_end(keeper);
}

/* Tells whether there is a place for the server, and whether its programs are there. */
static void settle_in(struct keeper *keeper)
{
    static struct server_news news;
    const char *what = "", *missing, *lacks;
    int error = keeper->apart
        ? platform_place_furnish(keeper->plan->root, keeper->folder, keeper->program, &what) : 0;
    keeper->adopts = keeper->apart || platform_place_adopt();
    if (error != 0) {
        news.outcome = (struct outcome){ CALL_FORK, error };
        snprintf(news.step, sizeof news.step, "%s", what);
    } else if ((missing = missing_program(keeper->plan)) != NULL) {
        snprintf(news.step, sizeof news.step, "no %.100s here", missing);
        news.missing = 1;
    } else if ((lacks = server_lacks(keeper)) != NULL) {
        snprintf(news.step, sizeof news.step, "%s", lacks);
        news.missing = 1;
    }
    send(keeper->channel, &news, sizeof news, 0);
    if (error != 0)
        _exit(0);
}

static void on_child(int number)
{
    (void)number;
}

static void part(struct keeper *keeper)
{
    struct sigaction action;
    int ends[2];
    setsid();
    forget_clearing();
    memset(&action, 0, sizeof action);
    action.sa_handler = on_child; /* it interrupts poll() */
    sigaction(SIGCHLD, &action, NULL);
    signal(SIGALRM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    alarm(0);
    platform_take_turns(0);
    for (int fd = 0; fd < MOST_OPEN; fd++)
        if (fd != keeper->channel)
            close(fd);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (open("/dev/null", O_RDWR) < 0)
            _exit(EXIT_BROKEN);
    if (pipe(ends) != 0 || set_nonblocking(ends[0]) != 0)
        _exit(EXIT_BROKEN);
    keeper->output = ends[0];
    keeper->log = ends[1];
    fcntl(keeper->output, F_SETFD, FD_CLOEXEC);
    fcntl(keeper->log, F_SETFD, FD_CLOEXEC);
    fcntl(keeper->channel, F_SETFD, FD_CLOEXEC);
}

void server_keep(struct keeper *keeper)
{
    char order;
    part(keeper);
    keeper->trial->draw ^= DISTURBED; /* its clients have other ports than those of the question */
    keeper->newest = -1;
    keeper->port = keeper->trial->port;
    keeper->workers = keeper->plan->workers;
    at_end(clear, keeper);
    settle_in(keeper);
    for (;;)
        if (keeper_wait(keeper, -1, 0, IDLE)
            && recv(keeper->channel, &order, 1, MSG_DONTWAIT) == 1)
            obey(keeper, order);
}
