/* The processes of a server, and the lines for the shell that start them. */
#include "server_processes.h"

#include "clock.h"
#include "keeper.h"
#include "plan.h"
#include "platform_processes.h"
#include "server_files.h"

#include <sys/resource.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 2000, KILL_TRIES = 200, LARGEST_FILE = 48 << 20 };

static const char MORE_PATHS[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:"
                                 "/usr/pkg/sbin:/usr/pkg/bin:/opt/homebrew/sbin:"
                                 "/opt/homebrew/bin";

const char *server_path(void)
{
    static char path[4096];
    const char *own = getenv("PATH");
    snprintf(path, sizeof path, "%s%s%s", own == NULL ? "" : own, own == NULL ? "" : ":",
             MORE_PATHS);
    return path;
}

/* A server is an ordinary process: none of what the agent has set for itself.  No file of its own
 * may fill the guest. */
static void become(const struct keeper *keeper, const char *line)
{
    static const int usual[] = { SIGPIPE, SIGCHLD, SIGALRM, SIGINT, SIGTERM, SIGHUP };
    struct rlimit largest = { LARGEST_FILE, LARGEST_FILE };
    sigset_t none;
    int null = open("/dev/null", O_RDWR);
    setsid();
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
        signal(usual[i], SIG_DFL);
    signal(SIGXFSZ, SIG_IGN); /* a log that is too long is an error of write() */
    setrlimit(RLIMIT_FSIZE, &largest);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    platform_take_turns(0);
    dup2(null, STDIN_FILENO);
    dup2(keeper->log, STDOUT_FILENO);
    dup2(keeper->log, STDERR_FILENO);
    if (null > STDERR_FILENO)
        close(null);
    setenv("PATH", server_path(), 1);
    setenv("HOME", keeper->folder, 1);
    if (chdir(keeper->folder) == 0)
        execl("/bin/sh", "sh", "-c", line, (char *)NULL);
    _exit(127);
}

int server_shell(struct keeper *keeper, const char *line)
{
    char *filled = server_fill(keeper, line, strlen(line), NULL);
    if (filled == NULL || keeper->instance_count == INSTANCES) {
        errno = filled == NULL ? ENOMEM : EAGAIN;
        return -1;
    }
    pid_t pid = fork();
    int error = errno;
    if (pid == 0)
        become(keeper, filled);
    free(filled);
    if (pid < 0) {
        errno = error;
        return -1;
    }
    keeper->instances[keeper->instance_count] = (struct instance){ .pid = pid };
    return keeper->instance_count++;
}

void server_reap(struct keeper *keeper)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (int i = 0; i < keeper->instance_count; i++)
            if (keeper->instances[i].pid == pid && !keeper->instances[i].ended) {
                keeper->instances[i].ended = 1;
                keeper->instances[i].status = status;
            }
}

int server_is_empty(void)
{
    return waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD;
}

int server_lives(pid_t pid)
{
    return kill(pid, 0) == 0 || errno != ESRCH;
}

static struct process_seen *all(int *count)
{
    struct process_seen *seen = calloc(MOST, sizeof *seen);
    *count = seen == NULL ? 0 : platform_processes(seen, MOST);
    return seen;
}

/* Where orphans cannot be adopted, their process group is the only trace of them. */
static int is_of_instance(const struct keeper *keeper, pid_t group)
{
    if (keeper->adopts)
        return 0;
    for (int i = 0; i < keeper->instance_count; i++)
        if (keeper->instances[i].pid == group)
            return 1;
    return 0;
}

/* Those that descend from this process, and the groups of those that it started.  Keeps them. */
static int keep_own(const struct keeper *keeper, struct process_seen *seen, int count)
{
    char *own = calloc((size_t)count + 1, 1);
    int found = 0, more = own != NULL, me = getpid();
    for (int i = 0; own != NULL && i < count; i++)
        own[i] = seen[i].pid != me && is_of_instance(keeper, seen[i].group);
    while (more) {
        more = 0;
        for (int i = 0; i < count; i++)
            for (int j = 0; !own[i] && j < count; j++)
                if (seen[i].parent == me || (own[j] && seen[j].pid == seen[i].parent))
                    own[i] = (char)(more = 1);
    }
    for (int i = 0; own != NULL && i < count; i++)
        if (own[i])
            seen[found++] = seen[i];
    free(own);
    return found;
}

int server_count(const struct keeper *keeper)
{
    int count;
    struct process_seen *seen = all(&count);
    count = keep_own(keeper, seen, count);
    free(seen);
    return count;
}

void server_kill(struct keeper *keeper)
{
    for (int i = 0; i < KILL_TRIES; i++) {
        int count;
        struct process_seen *seen = all(&count);
        count = keep_own(keeper, seen, count);
        for (int j = 0; j < count; j++)
            if (seen[j].pid > 1)
                kill(seen[j].pid, SIGKILL);
        free(seen);
        server_reap(keeper);
        if (count == 0)
            break;
        pause_ms(5);
    }
}

static pid_t child_of(pid_t parent)
{
    int count;
    pid_t found = 0;
    struct process_seen *seen = all(&count);
    for (int i = 0; i < count; i++)
        if (parent > 0 && seen[i].parent == parent)
            found = seen[i].pid;
    free(seen);
    errno = ESRCH;
    return found;
}

void server_remember_old(struct keeper *keeper)
{
    int count;
    struct process_seen *seen = all(&count);
    keeper->old_count = 0;
    for (int i = 0; i < count && keeper->old_count < OLD; i++)
        if (keeper->main > 0 && seen[i].parent == keeper->main)
            keeper->old[keeper->old_count++] = seen[i].pid;
    free(seen);
}

int server_old_lives(const struct keeper *keeper)
{
    for (int i = 0; i < keeper->old_count; i++)
        if (server_lives(keeper->old[i]))
            return 1;
    return 0;
}

static pid_t in_file(const struct keeper *keeper, const char *text)
{
    char path[4096];
    int pid = 0;
    char *filled = server_fill(keeper, text, strlen(text), NULL);
    snprintf(path, sizeof path, "%s/%s", keeper->folder, filled == NULL ? "" : filled);
    free(filled);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%8d", &pid) != 1 || pid <= 1)
        pid = 0;
    fclose(file);
    if (pid == 0)
        errno = EINVAL;
    return pid;
}

pid_t server_in_pid_file(const struct keeper *keeper)
{
    return in_file(keeper, keeper->plan->pid);
}

static pid_t who(const struct keeper *keeper, const struct plan_step *step)
{
    switch (step->who) {
    case WHO_FILE:
        return in_file(keeper, step->text);
    case WHO_WORKER:
        return child_of(keeper->main);
    case WHO_SECOND:
        if (keeper->plan->pid != NULL)
            return server_in_pid_file(keeper);
        return keeper->newest < 0 ? 0 : keeper->instances[keeper->newest].pid;
    default:
        return keeper->main;
    }
}

pid_t server_who(struct keeper *keeper, const struct plan_step *step)
{
    errno = ESRCH;
    pid_t pid = who(keeper, step);
    server_reap(keeper);
    if (pid > 0 && !server_lives(pid)) {
        errno = ESRCH;
        pid = 0;
    }
    if (pid > 0)
        keeper->remembered[step->who] = pid;
    return pid;
}
