/*
 * Which option to use on this kernel, and why: what reuseport-matrix measured decides.
 *
 *   reuseport-matrix report DIR --format header -o reuseport_matrix.h
 *   cc -std=c99 -D_DEFAULT_SOURCE -o choose choose.c && ./choose
 */
#include "reuseport_matrix.h"

#include <stdio.h>

static const char *name(enum rpm_option option)
{
    return option == RPM_REUSEPORT ? "SO_REUSEPORT"
         : option == RPM_REUSEPORT_LB ? "SO_REUSEPORT_LB" : "none that was measured";
}

int main(int argc, char **argv)
{
    const char *release = argc > 1 ? argv[1] : NULL;
    enum rpm_option balances = rpm_option_for(RPM_BALANCE_TCP, RPM_BALANCED, release);
    enum rpm_option hands_over = rpm_option_for(RPM_TAKEOVER_TCP, RPM_NEWEST_TAKES_ALL, release);

    printf("to spread connections: %s\n", name(balances));
    printf("to hand a port over: %s\n", name(hands_over));
    if (balances != RPM_NO_OPTION && rpm_socket_option(balances) < 0)
        printf("but these headers do not define it\n");
    switch (rpm_answer(RPM_QUEUE_AT_KILL, balances, release)) {
    case RPM_RESET:
        printf("a killed worker's queue: reset; pass descriptors, or let one process accept\n");
        break;
    case RPM_INHERITED:
        printf("a killed worker's queue: its siblings accept it\n");
        break;
    case RPM_UNKNOWN:
        printf("a killed worker's queue: not measured here\n");
        break;
    default:
        printf("a killed worker's queue: something else; see the matrix\n");
    }
    return 0;
}
