/* The process that keeps one server: how it waits, and how it ends. */
#include "keeper.h"

#include "plan.h"
#include "platform_place.h"
#include "server_files.h"
#include "server_processes.h"
#include "tool.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 65536, CHUNKS = 16 };

void keeper_end(struct keeper *keeper)
{
    static const char *const removal[] = { "rm", "-rf", NULL, NULL };
    const char *words[4];
    server_kill(keeper);
    if (keeper->plan->root == NULL) {
        if (keeper->apart)
            platform_place_leave(keeper->folder);
        memcpy(words, removal, sizeof words);
        words[2] = keeper->folder;
        tool_run("/bin/rm", words);
    }
    _exit(0);
}

/* A server may write for ever: what does not fit is dropped, and others get their turn. */
static void drain_output(struct keeper *keeper)
{
    static char bytes[CHUNK];
    ssize_t got;
    for (int i = 0; i < CHUNKS && (got = read(keeper->output, bytes, sizeof bytes)) > 0; i++)
        server_hear(keeper, bytes, (size_t)got);
}

int keeper_wait(struct keeper *keeper, int fd, short events, int ms)
{
    struct pollfd polls[3] = { { .fd = keeper->channel, .events = POLLIN },
                               { .fd = keeper->output, .events = POLLIN },
                               { .fd = fd, .events = events } };
    char byte;
    int ready = poll(polls, 3, ms);
    server_reap(keeper);
    if (ready <= 0)
        return 0;
    if (polls[1].revents != 0)
        drain_output(keeper);
    if (polls[0].revents != 0 && recv(keeper->channel, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
        keeper_end(keeper);
    return fd < 0 ? polls[0].revents != 0 : polls[2].revents != 0;
}
