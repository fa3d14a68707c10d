/* A tunable of the kernel at another value while a batch asks, and its former value afterwards.
 *
 * On most systems the value is the whole machine's.  So it is set once for all questions of a
 * batch, and a lock keeps other runs from changing it meanwhile.  A keeper puts the former value
 * back when the batch is over, however it ended: it is a process in a session of its own, so that a
 * signal to the batch does not end it.  If the keeper was killed, the batch puts the value back. */
#include "tunable_setting.h"

#include "clock.h"
#include "ending.h"
#include "errno_name.h"
#include "question.h"

#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TRIES = 100, PATIENCE = 100 }; /* for the lock: how often, and ms between two tries */

static int stands(const struct setting *setting, const char *value)
{
    char now[sizeof setting->former];
    return platform_tunable(setting->name, now, sizeof now) == 0 && strcmp(now, value) == 0;
}

/* Leaves a value alone that another program has set since. */
static int put_back(const struct setting *setting)
{
    if (!stands(setting, setting->value))
        return 0;
    return platform_tunable_set(setting->name, setting->former);
}

/* Waits for the end of the batch.  It closes the batch's streams, because the host may wait until
 * no process has them open. */
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

/* Waits for the keeper of another run to put its value back. */
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

/* The keeper has read the former value before the value changes. */
static void begin(struct setting *setting, const int lifeline[2])
{
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
        close(lifeline[1]);
        keep(setting, lifeline[0]);
    }
    change(setting);
}

int setting_begin(struct setting *setting, const int lifeline[2], struct question *question)
{
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
            begin(setting, lifeline);
    }
    question->obstacle = setting->obstacle;
    return strcmp(setting->name, name) == 0 && strcmp(setting->value, value) == 0 ? 0 : -1;
}

void setting_leave(const struct setting *setting)
{
    if (setting->keeper > 0)
        close(setting->lock);
}

int setting_end(struct setting *setting, const int lifeline[2])
{
    int status, error = 0;
    if (setting->keeper <= 0)
        return 0;
    close(lifeline[1]);
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
