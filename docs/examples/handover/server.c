/* A small TCP server that shares its port: `serve PORT NAME`, `ask PORT COUNT`, `port`. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static volatile sig_atomic_t retiring;

static void retire(int number)
{
    (void)number;
    retiring = 1;
}

static struct sockaddr_in at(const char *port)
{
    struct sockaddr_in address;

    memset(&address, 0, sizeof(address));
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((unsigned short)atoi(port));
    return address;
}

static int fail(const char *what)
{
    perror(what);
    return 1;
}

/* Answer with our name until SIGTERM; then whoever still waits in the queue, and end. */
static int serve(const char *port, const char *name)
{
    struct sockaddr_in address = at(port);
    struct pollfd waiting;
    struct sigaction action;
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1, connection;

    memset(&action, 0, sizeof(action));
    action.sa_handler = retire;
    sigaction(SIGTERM, &action, NULL);
    if (setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
        return fail("SO_REUSEPORT");
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(listener, 128) < 0)
        return fail("listen");
    fcntl(listener, F_SETFL, O_NONBLOCK);
    waiting.fd = listener;
    waiting.events = POLLIN;
    for (;;) {
        connection = accept(listener, NULL, NULL);
        if (connection >= 0) {
            if (write(connection, name, strlen(name)) < 0)
                perror("write");
            close(connection);
        } else if (retiring) {
            return 0;
        } else {
            poll(&waiting, 1, 50);
        }
    }
}

/* Connect so often; print how often each name answered, and how often nobody did. */
static int ask(const char *port, int count)
{
    struct sockaddr_in address = at(port);
    int old = 0, new = 0, lost = 0, client;
    char answer[16];
    ssize_t length;

    while (count-- > 0) {
        client = socket(AF_INET, SOCK_STREAM, 0);
        length = connect(client, (struct sockaddr *)&address, sizeof(address)) < 0
               ? -1 : read(client, answer, sizeof(answer) - 1);
        close(client);
        answer[length > 0 ? length : 0] = '\0';
        old += strcmp(answer, "old") == 0;
        new += strcmp(answer, "new") == 0;
        lost += length <= 0;
    }
    printf("old %d new %d lost %d\n", old, new, lost);
    return 0;
}

/* Print a port that nobody has. */
static int free_port(void)
{
    struct sockaddr_in address = at("0");
    socklen_t size = sizeof(address);
    int one = socket(AF_INET, SOCK_STREAM, 0);

    if (bind(one, (struct sockaddr *)&address, size) < 0 ||
        getsockname(one, (struct sockaddr *)&address, &size) < 0)
        return fail("bind");
    printf("%d\n", ntohs(address.sin_port));
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "port") == 0)
        return free_port();
    if (argc == 4 && strcmp(argv[1], "serve") == 0)
        return serve(argv[2], argv[3]);
    if (argc == 4 && strcmp(argv[1], "ask") == 0)
        return ask(argv[2], atoi(argv[3]));
    fprintf(stderr, "usage: server port | serve PORT NAME | ask PORT COUNT\n");
    return 64;
}
