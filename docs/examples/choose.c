/*
 * Which option to use on this kernel, and why: what reuseport-matrix measured decides.
 *
 *   reuseport-matrix report DIR --format header -o reuseport_matrix.h
 *   cc -std=c99 -D_DEFAULT_SOURCE -o choose choose.c && ./choose
 *
 * With a release as its argument it answers for that one: ./choose 6.12.5
 */
#include "reuseport_matrix.h"

#include <stdio.h>

static const char *name(enum rpm_option option)
{
    return option == RPM_REUSEPORT ? "SO_REUSEPORT"
         : option == RPM_REUSEPORT_LB ? "SO_REUSEPORT_LB" : "none that was measured";
}

/* Say an answer, and for a release beyond those measured the nearest one's, as what it is. */
static void say(const char *what, enum rpm_question question, enum rpm_option option,
                const char *release)
{
    enum rpm_word word = rpm_answer(question, option, release);

    printf("  %s: %s", what, rpm_text(word));
    if (word == RPM_BEYOND)
        printf(" what was measured; the nearest: %s", rpm_text(rpm_nearest(question, option, release)));
    printf("\n");
}

/* Return the option that does what is wanted. It is of no use if the headers lack it. */
static enum rpm_option choose(const char *purpose, enum rpm_question question, enum rpm_word wanted,
                              const char *release)
{
    enum rpm_option option = rpm_option_for(question, wanted, release);

    printf("%s: %s\n", purpose, name(option));
    if (option != RPM_NO_OPTION && rpm_socket_option(option) < 0)
        printf("  but these headers do not define it\n");
    say("SO_REUSEPORT", question, RPM_REUSEPORT, release);
    say("SO_REUSEPORT_LB", question, RPM_REUSEPORT_LB, release);
    return option;
}

int main(int argc, char **argv)
{
    const char *release = argc > 1 ? argv[1] : NULL;
    enum rpm_option spreads, option;

    spreads = choose("to spread connections", RPM_BALANCE_TCP, RPM_BALANCED, release);
    choose("to hand a port over", RPM_TAKEOVER_TCP, RPM_NEWEST_TAKES_ALL, release);

    option = spreads == RPM_NO_OPTION ? RPM_REUSEPORT : spreads;
    printf("if a worker with %s is killed\n", name(option));
    say("its queue", RPM_QUEUE_AT_KILL, option, release);
    say("its handshakes", RPM_HANDSHAKE_AT_KILL, option, release);
    say("its siblings' connections", RPM_OTHERS_AT_KILL, option, release);
    say("new connections", RPM_ARRIVALS_AT_KILL, option, release);

    if (rpm_answer(RPM_QUEUE_AT_KILL, option, release) == RPM_INHERITED)
        printf("a worker may simply end\n");
    else if (rpm_answer(RPM_DRAIN_PASS, option, release) == RPM_LOSSLESS)
        printf("a worker should pass its descriptor on before it ends\n");
    else
        printf("no way to end a worker is known to lose nothing\n");
    return 0;
}
