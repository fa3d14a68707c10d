/* TCP Fast Open (RFC 7413): whether it can be asked about here, and whether clients really use it.
 *
 * Where the listener does not take the data of a SYN, TCP sends it again after the handshake,
 * without an error.  The connection is then an ordinary one. */
#include "fast_open.h"

#include "ending.h"
#include "errno_name.h"
#include "platform_accept.h"
#include "platform_tunable.h"
#include "sockets.h"
#include "trial.h"
#include "unsupported.h"

#include <netinet/in.h>

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define SWITCH "net.ipv4.tcp_fastopen" /* 1: for clients, 2: for listeners (linux: ip-sysctl) */

enum { BOTH_SIDES = 3, PATIENCE = 2000 };

/* Makes a connection over the loopback interface whose data goes with its SYN.  Returns null if the
 * listener took it, or what failed, with errno. */
static const char *tried(int listener, int client)
{
    struct sockaddr_in place = { .sin_family = AF_INET };
    socklen_t size = sizeof place;
    struct sockaddr *at = (struct sockaddr *)&place;
    struct pollfd end = { .fd = client, .events = POLLOUT };
    int retries = 0;
    place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (platform_fast_open(client) != 0)
        return "no TCP Fast Open for clients here: setsockopt";
    if (bind(listener, at, size) != 0 || listen(listener, 1) != 0
        || getsockname(listener, at, &size) != 0)
        return "no listener on the loopback interface";
    if (platform_accept_fast_open(listener, 1) != 0)
        return "no TCP Fast Open for listeners here: setsockopt";
    if (set_nonblocking(client) != 0 || (connect(client, at, size) != 0 && errno != EINPROGRESS)
        || send_patiently(client, "?", 1, NULL, &retries) != 1)
        return "no request goes with a SYN here";
    poll(&end, 1, PATIENCE);
    errno = platform_fast_open_missing(client);
    return errno == 0 ? NULL : "a listener did not take the data of a SYN";
}

void need_fast_open(struct trial *trial)
{
    char value[TUNABLE];
    if (trial->question->accepting != FAST_OPEN)
        return;
    if (trial->question->protocol != TCP || trial->question->peer != SOCKETS)
        unsupported(trial, "TCP Fast Open is asked only with sockets of plain TCP");
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    const char *failed = tried(listener, client);
    const char *error = errno_name(errno);
    close(client);
    close(listener);
    if (failed == NULL)
        return;
    if (platform_tunable(SWITCH, value, sizeof value) == 0
        && (atoi(value) & BOTH_SIDES) != BOTH_SIDES)
        unsupported(trial, "%s: %s; " SWITCH " is %s: 1 is for clients, 2 for listeners, and this"
                    " needs 3", failed, error, value);
    unsupported(trial, "%s: %s", failed, error);
}

void fast_open_begin(int fd)
{
    if (platform_fast_open(fd) != 0)
        broken("a client's socket takes no option of Fast Open: %s", errno_name(errno));
}

void fast_open_check(struct trial *trial, int fd)
{
    trial->fallbacks += platform_fast_open_missing(fd) != 0;
}
