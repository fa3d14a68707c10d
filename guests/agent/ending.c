/* How this process ends: by broken(), by its alarm, or by itself. */
#include "ending.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 4 };

static struct {
    void (*clear)(void *);
    void *what;
} registered[MOST];

static volatile sig_atomic_t count;

void at_end(void (*clear)(void *), void *what)
{
    if (count == MOST)
        broken("more than %d things to clear away", MOST);
    registered[count].clear = clear;
    registered[count].what = what;
    count++; /* last: the alarm may come between any two lines */
}

void forget_clearing(void)
{
    count = 0;
}

void clear_away(void)
{
    for (int i = count - 1; i >= 0; i--)
        registered[i].clear(registered[i].what);
}

void broken(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("agent: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    clear_away();
    _exit(EXIT_BROKEN);
}

/* Ends by the signal itself, so that the parent sees why. */
static void on_alarm(int number)
{
    clear_away();
    signal(number, SIG_DFL);
    raise(number);
}

void alarm_start(int seconds)
{
    struct sigaction action;
    sigset_t only;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_alarm;
    sigemptyset(&action.sa_mask);
    sigaction(SIGALRM, &action, NULL);
    sigemptyset(&only);
    sigaddset(&only, SIGALRM);
    sigprocmask(SIG_UNBLOCK, &only, NULL);
    alarm((unsigned)seconds);
}
