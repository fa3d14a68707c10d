/* A server of our own, to compare others with: docs/wire.md, "The agent's own server".
 *
 * A master with some workers.  At SIGHUP it starts new workers, waits until they listen, and lets
 * the old ones retire. */
#include "serve.h"

#include "addresses.h"
#include "descriptor.h"
#include "ending.h"
#include "question.h"
#include "serve_worker.h"
#include "sockets.h"

#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_WORKERS = 64, BACKLOG = 1024 };

struct serving {
    int port, count, generation, slow;
    enum serve_how how;
    int listener;               /* the one that all workers inherit, or -1 */
    pid_t workers[MOST_WORKERS];
    int heirs[MOST_WORKERS];    /* where a worker passes its listener to; -1: nowhere */
};

static volatile sig_atomic_t hangup, stopped, child;

static void on_signal(int number)
{
    if (number == SIGHUP)
        hangup = 1;
    else if (number == SIGCHLD)
        child = 1;
    else
        stopped = 1;
}

static void fail(const char *call)
{
    fprintf(stderr, "agent serve: %s: %s\n", call, strerror(errno));
    exit(EXIT_BROKEN);
}

static int listen_at(int port, int alone)
{
    struct address place = address(AF_INET, "127.0.0.1", port);
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    int option = option_missing(REUSEPORT_LB) == NULL ? REUSEPORT_LB : REUSEPORT;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0)
        fail("socket");
    if (!alone && option_set(fd, option) != 0)
        fail("setsockopt");
    if (bind(fd, (struct sockaddr *)&place.storage, place.size) != 0)
        fail("bind");
    if (listen(fd, BACKLOG) != 0)
        fail("listen");
    return fd;
}

/* From its predecessor, which waits until it has arrived. */
static int receive(int channel)
{
    int fd;
    char byte = 0;
    if (descriptor_receive(channel, &fd).call != NO_CALL)
        fail("recvmsg");
    send(channel, &byte, 1, 0);
    return fd;
}

/* `from`: its predecessor's channel, or -1.  A byte to `ready` says that nobody has to wait for it. */
static void become_worker(const struct serving *serving, int from, int heir, int ready)
{
    struct serve_worker worker = { .how = serving->how, .generation = serving->generation,
                                   .heir = heir, .listener = serving->listener,
                                   .slow = serving->slow };
    char byte = 0;
    sigset_t none;
    signal(SIGHUP, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (worker.listener < 0 && from < 0)
        worker.listener = listen_at(serving->port, 0);
    if (write(ready, &byte, 1) != 1)
        fail("write");
    close(ready);
    if (from >= 0)
        worker.listener = receive(from);
    serve_work(&worker);
}

/* Starts a worker in this place; it takes over from the one that is there if it passes its listener. */
static void start(struct serving *serving, int i, int succeeds)
{
    int channel[2] = { -1, -1 }, ready[2], from = succeeds ? serving->heirs[i] : -1;
    char byte;
    if (pipe(ready) != 0
        || (serving->how == SERVE_PASS && socketpair(AF_UNIX, SOCK_STREAM, 0, channel) != 0))
        fail("pipe");
    serving->workers[i] = fork();
    if (serving->workers[i] < 0)
        fail("fork");
    if (serving->workers[i] == 0) {
        close(ready[0]);
        close(channel[0]);
        become_worker(serving, from, channel[1], ready[1]);
    }
    close(ready[1]);
    close(channel[1]);
    if (serving->heirs[i] >= 0)
        close(serving->heirs[i]);
    serving->heirs[i] = channel[0];
    while (read(ready[0], &byte, 1) < 0 && errno == EINTR)
        continue;
    close(ready[0]);
}

static void read_generation(struct serving *serving)
{
    FILE *file = fopen("generation", "r");
    if (file != NULL && fscanf(file, "%4d", &serving->generation) != 1)
        fprintf(stderr, "agent serve: the file generation has no number\n");
    if (file != NULL)
        fclose(file);
}

static void replace_all(struct serving *serving)
{
    pid_t old[MOST_WORKERS];
    memcpy(old, serving->workers, sizeof old);
    read_generation(serving);
    for (int i = 0; i < serving->count; i++)
        start(serving, i, serving->how == SERVE_PASS);
    for (int i = 0; i < serving->count; i++)
        kill(old[i], SIGTERM);
}

/* A worker that died gets a successor, which cannot have its listener. */
static void reap(struct serving *serving)
{
    pid_t pid;
    while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
        for (int i = 0; i < serving->count && !stopped; i++)
            if (serving->workers[i] == pid)
                start(serving, i, 0);
}

static void stop(const struct serving *serving)
{
    for (int i = 0; i < serving->count; i++)
        kill(serving->workers[i], SIGKILL);
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        continue;
}

static void rule(struct serving *serving)
{
    static const int numbers[] = { SIGHUP, SIGTERM, SIGQUIT, SIGINT, SIGCHLD };
    sigset_t blocked, before;
    sigemptyset(&blocked);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        signal(numbers[i], on_signal);
        sigaddset(&blocked, numbers[i]);
    }
    sigprocmask(SIG_BLOCK, &blocked, &before);
    for (int i = 0; i < serving->count; i++)
        start(serving, i, 0);
    while (!stopped) {
        sigsuspend(&before);
        if (child)
            child = 0, reap(serving);
        if (hangup)
            hangup = 0, replace_all(serving);
    }
    stop(serving);
}

static int take_word(struct serving *serving, const char *word)
{
    static const char *const hows[] = { "inherit", "reuseport", "pass" };
    if (sscanf(word, "port=%5d", &serving->port) == 1
        || sscanf(word, "workers=%2d", &serving->count) == 1
        || sscanf(word, "generation=%4d", &serving->generation) == 1
        || sscanf(word, "slow=%4d", &serving->slow) == 1)
        return 0;
    for (int i = 0; strncmp(word, "how=", 4) == 0 && i < 3; i++)
        if (strcmp(word + 4, hows[i]) == 0) {
            serving->how = (enum serve_how)i;
            return 0;
        }
    return -1;
}

int serve(int count, char **words)
{
    static struct serving serving = { .count = 1, .listener = -1 };
    for (int i = 0; i < count; i++)
        if (take_word(&serving, words[i]) != 0)
            return EXIT_USAGE;
    if (serving.port < 1 || serving.port > 65535 || serving.count < 1
        || serving.count > MOST_WORKERS)
        return EXIT_USAGE;
    for (int i = 0; i < MOST_WORKERS; i++)
        serving.heirs[i] = -1;
    platform_take_turns(0);
    read_generation(&serving);
    if (serving.how == SERVE_INHERIT)
        serving.listener = listen_at(serving.port, 1);
    rule(&serving);
    return 0;
}
