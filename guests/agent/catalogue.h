/* The table of scenarios: what each can be asked with. */
#ifndef CATALOGUE_H
#define CATALOGUE_H

#include "platform.h"

struct trial;

struct scenario {
    const char *name;
    void (*run)(struct trial *);
    int tcp, udp;            /* has a form for this protocol */
    int options;             /* its sockets have the question's option */
    int mixed;               /* takes bind=mixed */
    int plays_peer;          /* takes peer=tun */
    const char *only_peer;   /* why it takes nothing but peer=tun; null: it takes both */
    int backlog;             /* of listen(), unless the question says another */
};

/* The scenario of this name, or null. */
const struct scenario *scenario_named(const char *name);

/* The scenario at this place of the table, from 0; null after the last. */
const struct scenario *scenario_at(int place);

#endif
