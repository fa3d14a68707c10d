/* A tiny process that wants to wake every 10 ms, and remembers how late it ever was: a time-out
 * means something only in a guest that was not starved.
 *
 * It is also the guard of the question's process group: when the question, or the batch that asked
 * it, is gone however it went, the whole group is killed, stopped members too. */
#include "agent.h"

#include <sys/wait.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

enum { BEAT = 10 };

static struct {
    pid_t pid;
    int channel, error; /* why there is none */
} metronome;

static void beat(int channel, int lifeline)
{
    int gap = 0;
    platform_take_turns(0); /* or it would measure how long the other processes of ours take */
    int64_t before = clock_ms();
    for (;;) {
        struct pollfd polls[2] = { { .fd = channel, .events = POLLIN },
                                   { .fd = lifeline, .events = POLLIN } };
        int ready = poll(polls, 2, BEAT);
        int64_t now = clock_ms();
        if (now - before - BEAT > gap)
            gap = (int)(now - before - BEAT);
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

/* The errno of its fork(), said once somebody can hear it; 0 if there is one. */
int metronome_missing(void)
{
    return metronome.error;
}

/* In a child of the question: its copy of the channel would hide the question's end. */
void metronome_forget(void)
{
    close(metronome.channel);
}

/* The longest overshoot so far, in ms; the metronome ends. */
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
