/* One function for each scenario, named after it. */
#ifndef SCENARIOS_H
#define SCENARIOS_H

#include "platform.h"

struct trial;

void facts(struct trial *);
void sharing(struct trial *);
void intrusion(struct trial *);
void distribution(struct trial *);
void one_listener(struct trial *);
void server_port(struct trial *);
void listen_order(struct trial *);
void steering(struct trial *);
void takeover(struct trial *);
void fallback(struct trial *);
void failure_established(struct trial *);
void failure_queued(struct trial *);
void failure_arrivals(struct trial *);
void failure_flows(struct trial *);
void failure_hung(struct trial *);
void failure_handshake(struct trial *);
void orphans(struct trial *);
void bound_only(struct trial *);
void backlog(struct trial *);
void last_gone(struct trial *);
void precedence(struct trial *);
void confined(struct trial *);
void group_limit(struct trial *);
void datagrams(struct trial *);
void connected(struct trial *);
void drain(struct trial *);
void restart(struct trial *);

#endif
