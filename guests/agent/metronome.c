/* A tiny process that measures how long this guest was not scheduled, and guards the question.
 *
 * It wants to wake every BEAT ms, and remembers how late it ever was: a time-out means something only
 * in a guest that was not starved (docs/traps.md, trap 12).  When the question, or the batch that
 * asked it, is gone, it kills the question's whole process group, stopped members too. */
#include "metronome.h"

#include "clock.h"
#include "ending.h"
#include "errno_name.h"

#include <sys/wait.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

/* ms.  Each beat interrupts the CPU that it watches, and on an emulated one two switches of processes
 * cost as much as half a flow. */
enum { BEAT = 25 };

static struct {
    pid_t pid;
    int channel, error; /* error: of fork(), if there is no metronome */
} metronome;

/* How long it was not scheduled between two beats, in ms.  What held it up may have begun at any time
 * since the beat before: of a delay that is long beside a beat the whole time counts, never less. */
static int gap_of(int64_t between)
{
    int late = (int)(between - BEAT);
    return late > BEAT ? (int)between : late;
}

static void beat(int channel, int lifeline)
{
    int gap = 0;
    platform_take_turns(0); /* or it would measure how long the agent's own processes run */
    int64_t before = clock_ms();
    for (;;) {
        struct pollfd polls[2] = { { .fd = channel, .events = POLLIN },
                                   { .fd = lifeline, .events = POLLIN } };
        int ready = poll(polls, 2, BEAT);
        int64_t now = clock_ms();
        if (gap_of(now - before) > gap)
            gap = gap_of(now - before);
        before = now;
        if (ready > 0 && polls[0].revents != 0) {
            char asked;
            if (recv(channel, &asked, 1, 0) != 1)
                kill(0, SIGKILL);
            send(channel, &gap, sizeof gap, 0);
            _exit(0);
        }
        if (ready > 0 && polls[1].revents != 0)
            kill(0, SIGKILL);
    }
}

static void kill_metronome(void *unused)
{
    (void)unused;
    if (metronome.pid <= 0)
        return;
    kill(metronome.pid, SIGKILL);
    while (waitpid(metronome.pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    metronome.pid = 0;
}

void metronome_start(int lifeline)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        broken("socketpair: %s", errno_name(errno));
    metronome.pid = fork();
    metronome.error = metronome.pid < 0 ? errno : 0;
    if (metronome.pid == 0) {
        signal(SIGALRM, SIG_DFL);
        close(ends[0]);
        beat(ends[1], lifeline);
    }
    close(ends[1]);
    close(lifeline);
    metronome.channel = ends[0];
    at_end(kill_metronome, NULL);
}

int metronome_missing(void)
{
    return metronome.error;
}

void metronome_leave(void)
{
    close(metronome.channel);
}

int metronome_stop(void)
{
    int gap = 0;
    if (metronome.error != 0)
        return 0;
    if (send(metronome.channel, "?", 1, 0) != 1
        || recv(metronome.channel, &gap, sizeof gap, MSG_WAITALL) != (ssize_t)sizeof gap)
        broken("the metronome is gone: %s", errno_name(errno));
    kill_metronome(NULL);
    return gap;
}
