/* A tunable of the kernel at another value for as long as a batch asks, and what it was afterwards.
 *
 * On most systems the value is the whole machine's, so it is set once for all questions of a batch,
 * and nobody else of ours may change it meanwhile: there is a lock.  A keeper, in a session of its
 * own so that what ends the batch does not end it, puts the former value back when the batch is
 * over, however it went; the batch puts it back itself if somebody has ended the keeper. */
#include "jobs.h"

#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TRIES = 100, PATIENCE = 100 }; /* so often, so many ms apart, a lock is asked for */

static int stands(const struct setting *setting, const char *value)
{
    char now[sizeof setting->former];
    return platform_tunable(setting->name, now, sizeof now) == 0 && strcmp(now, value) == 0;
}

/* What somebody else has set since is left alone. */
static int put_back(const struct setting *setting)
{
    if (!stands(setting, setting->value))
        return 0;
    return platform_tunable_set(setting->name, setting->former);
}

/* Waits for the end of the batch.  It holds none of its streams: a transport may wait until nobody
 * has them open any more. */
static void keep(const struct setting *setting, int lifeline)
{
    char nothing;
    ssize_t got;
    setsid();
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        close(fd);
    do
        got = read(lifeline, &nothing, 1);
    while (got > 0 || (got < 0 && errno == EINTR));
    _exit(put_back(setting) == 0 ? 0 : EXIT_BROKEN);
}

/* Waits for another run's keeper, which has still to put its value back. */
static int lock(const struct setting *setting)
{
    int fd = -1;
    for (int i = 0; i < TRIES && fd < 0; i++) {
        if (i > 0)
            pause_ms(PATIENCE);
        fd = platform_tunable_lock(setting->name);
    }
    if (fd < 0)
        broken("another run has set %s for longer than is waited for", setting->name);
    return fd;
}

static void change(struct setting *setting)
{
    int error = platform_tunable_set(setting->name, setting->value);
    if (error != 0)
        snprintf(setting->obstacle, sizeof setting->obstacle, "%scannot set %s: %s",
                 geteuid() == 0 ? "" : "needs root: ", setting->name, errno_name(error));
    else if (!stands(setting, setting->value))
        snprintf(setting->obstacle, sizeof setting->obstacle, "%s does not take %s",
                 setting->name, setting->value);
}

/* The keeper knows the former value before there is another: at no moment is nobody there. */
static void begin(struct front *front)
{
    struct setting *setting = &front->setting;
    char before[sizeof setting->former];
    if (platform_tunable(setting->name, before, sizeof before) != 0) {
        snprintf(setting->obstacle, sizeof setting->obstacle, "no such tunable: %s",
                 setting->name);
        return;
    }
    setting->lock = lock(setting);
    if (platform_tunable(setting->name, setting->former, sizeof setting->former) != 0)
        broken("%s is gone", setting->name);
    setting->keeper = fork();
    if (setting->keeper < 0)
        broken("fork: %s", errno_name(errno));
    if (setting->keeper == 0) {
        close(front->lifeline[1]);
        keep(setting, front->lifeline[0]);
    }
    change(setting);
}

/* Sets what the first question of a front asks for; -1 if this one asks for anything else. */
int setting_begin(struct front *front, struct question *question)
{
    struct setting *setting = &front->setting;
    const char *value = strchr(question->tunables, '=');
    char name[sizeof setting->name] = "";
    if (value != NULL)
        snprintf(name, sizeof name, "%.*s", (int)(value - question->tunables), question->tunables);
    value = value == NULL ? "" : value + 1;
    if (!setting->begun) {
        setting->begun = 1;
        memcpy(setting->name, name, sizeof name);
        snprintf(setting->value, sizeof setting->value, "%s", value);
        if (name[0] != '\0')
            begin(front);
    }
    question->obstacle = setting->obstacle;
    return strcmp(setting->name, name) == 0 && strcmp(setting->value, value) == 0 ? 0 : -1;
}

/* In a child of the front: a lock is open as long as any process has it. */
void setting_forget(struct front *front)
{
    if (front->setting.keeper > 0)
        close(front->setting.lock);
}

/* To be called when no question runs any more; the exit status that is due. */
int setting_end(struct front *front)
{
    struct setting *setting = &front->setting;
    int status, error = 0;
    if (setting->keeper <= 0)
        return 0;
    close(front->lifeline[1]);
    while (waitpid(setting->keeper, &status, 0) < 0 && errno == EINTR)
        continue;
    setting->keeper = 0;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        error = put_back(setting);
    close(setting->lock);
    if (error != 0)
        fprintf(stderr, "agent: %s stays at %s: %s\n", setting->name, setting->value,
                errno_name(error));
    return error == 0 ? 0 : EXIT_BROKEN;
}
