/* The loopback interface, which is down in a fresh network namespace. */
#include "loopback.h"

#include "clock.h"
#include "emit.h"
#include "ending.h"
#include "errno_name.h"
#include "ports.h"
#include "trial.h"

#include <sys/ioctl.h>

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TRIES = 200 };

int loopback_up(void)
{
    struct ifreq request;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0)
        return errno;
    memset(&request, 0, sizeof request);
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", platform_loopback);
    int failed = ioctl(fd, SIOCGIFFLAGS, &request) != 0;
    if (!failed && (request.ifr_flags & IFF_UP) == 0) {
        request.ifr_flags |= IFF_UP;
        failed = ioctl(fd, SIOCSIFFLAGS, &request) != 0;
    }
    int error = failed ? errno : 0;
    close(fd);
    return error;
}

/* ::1 may take a moment longer than the interface. */
void raise_loopback(struct trial *trial)
{
    struct outcome outcome;
    int tries = 0, error = loopback_up();
    if (error != 0)
        broken("cannot raise the loopback interface: %s", errno_name(error));
    while (trial->question->family == IPV6 && try_reserve(trial, &outcome) != 0
           && outcome.error == EADDRNOTAVAIL && tries++ < TRIES)
        pause_ms(10);
    if (tries > 0)
        emit_fact("loopback-retries", tries);
}
