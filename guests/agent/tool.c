/* Runs a tool of the base system. */
#include "tool.h"

#include <sys/wait.h>

#include <errno.h>
#include <stdint.h>
#include <unistd.h>

int tool_run(const char *path, const char *const *words)
{
    int status;
    pid_t seen, pid = fork();
    if (pid < 0)
        return errno;
    if (pid == 0) {
        dup2(STDERR_FILENO, STDOUT_FILENO);
        execv(path, (char *const *)(uintptr_t)words);
        _exit(127);
    }
    do
        seen = waitpid(pid, &status, 0);
    while (seen < 0 && errno == EINTR);
    if (seen != pid || !WIFEXITED(status))
        return ECHILD;
    return WEXITSTATUS(status) == 0 ? 0 : WEXITSTATUS(status) == 127 ? ENOENT : EINVAL;
}
