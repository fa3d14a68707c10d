/* A server of a plan, as the question sees it: its keeper does what it is told. */
#ifndef SERVER_H
#define SERVER_H

#include "platform.h"
#include "keeper.h"

struct plan;
struct trial;

/* Makes a place for the server, at the trial's port; ends the question if there is none.  Returns
 * the channel, to be waited for. */
int server_begin(struct trial *, const struct plan *);

/* One order; the news come on the channel once it is done. */
void server_tell(enum server_order);
void server_hear_news(struct server_news *);

/* Ends the keeper, and with it all that is left. */
void server_end(void);

#endif
