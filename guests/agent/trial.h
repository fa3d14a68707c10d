/* One asking of a question: the port it is about, its members, and the draw of random numbers. */
#ifndef TRIAL_H
#define TRIAL_H

#include "platform.h"
#include "platform_steer.h"
#include "question.h"
#include "request.h"

#include <stdint.h>

enum { MAX_MEMBERS = MAX_LISTENERS + 2 }; /* a newcomer or a bystander, and one to spare */

struct client;
struct flow;

struct member {
    pid_t pid;   /* 0: none, or it has ended and was reaped */
    int control; /* the parent's end of its channel */
};

struct trial {
    const struct question *question;
    const struct client *client;        /* who plays the clients */
    char token[TOKEN + 1];
    int64_t began;
    uint32_t draw;                      /* state of the generator */
    unsigned char drawn[65536 / 8];     /* source ports in use, a bit each */
    int ports_drawn;
    char home[2][46];                   /* the members' specific addresses: IPv4, IPv6 */
    int port;                           /* of the group */
    int backlog;
    int service;                        /* ms that a member takes for each request */
    int option, family, wildcard;       /* of the next member; at first those of the question */
    int device;                         /* the next member is bound to the loopback interface */
    int indexes;                        /* replies bear numbers below this */
    int spread;                         /* a client's address is made from its port */
    uint32_t net;                       /* the net that such addresses are of */
    struct flow *others;                /* of confirm_addresses(); null before the first time */
    int one_address;                    /* the errno that says why they have no addresses, or 0 */
    int handover[2];                    /* a channel that all members share, for descriptors */
    struct steering steering;           /* how the group is steered */
    int leash[2];                       /* the line to a child that holds a member's listener */
    long drained;                       /* connections that members accepted while they retired */
    long endless;                       /* retirements in which accept() never found none left */
    int multipath;                      /* connections that were to be MPTCP */
    int fallbacks;                      /* those that were not, or did not use TCP Fast Open */
    struct member members[MAX_MEMBERS];
    int member_count, binds, listens, phases, retries, rebinds, resends;
};

void trial_open(struct trial *, const struct question *);

/* The next of the trial's random numbers. */
uint32_t draw(struct trial *);

/* Mixes 32 bits, so that numbers with structure give numbers without. */
uint32_t mix(uint32_t);

#endif
