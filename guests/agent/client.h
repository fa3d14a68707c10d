/* Who plays the clients: a table of operations.  socket_client connects with sockets; tun_client
 * sends packets through a tun device, as hosts behind it would. */
#ifndef CLIENT_H
#define CLIENT_H

#include "platform.h"
#include "flow.h"

#include <stdint.h>

struct phase;
struct trial;

struct client {
    /* Once for each question.  `leave`: in a child, which closes what it inherited. */
    void (*open)(struct trial *);
    void (*leave)(void);
    void (*close)(void);

    /* Begins the flow; 0, or -1 while its port is still in use. */
    int (*start)(struct trial *, const struct phase *, struct flow *, uint32_t number);

    /* Goes on with the flow as it is, with its final ACK if that was held back and the phase does
     * not hold it back any longer. */
    void (*resume)(struct trial *, const struct phase *, struct flow *);

    /* Sends again on a connection that was served; null if this client cannot. */
    void (*echo)(struct trial *, struct flow *, uint32_t number);

    /* Waits `wait` ms at most for news of the flows with this fate, from `first` on. */
    void (*turn)(struct trial *, struct phase *, int first, enum fate fate, int wait);

    /* Whether the server has not even acknowledged the request. */
    int (*unheard)(const struct flow *);

    /* Ends the connection; `hung_up` waits until those that were ended are so at both ends. */
    void (*hang_up)(struct flow *);
    void (*hung_up)(struct trial *, struct phase *);

    /* Connections that are ended here and not yet at the server; their packets are on the way. */
    int (*closing)(void);

    int window;       /* flows that may be under way at once */
    int young;        /* ms for which an unanswered flow holds its place in the window */
    int sockets;      /* each flow has a descriptor, and a port that other questions may want */
    int all_at_once;  /* any number of flows may resume at once */
};

#endif
