/* `group-limit`: hundreds of sockets in one group; how many may stand, and how many ever serve? */
#include "scenarios.h"

#include "emit.h"
#include "ending.h"
#include "errno_name.h"
#include "flow.h"
#include "flows.h"
#include "group_process.h"
#include "limits.h"
#include "outcome.h"
#include "ports.h"
#include "sockets.h"
#include "trial.h"
#include "unsupported.h"

#include <string.h>

/* Flows at a time: a descriptor for each, beside those of the group, must fit the limit. */
enum { CHUNK = 200 };

/* Whether more flows cannot change the answer: each of the sockets has served, or one has served all
 * flows, which a hash over two sockets does once in 2^(CHUNK - 1) times. */
static int settled(const struct flow *flows, int count, int stood)
{
    unsigned char served[MAX_SOCKETS] = { 0 };
    int sockets = 0, all = 1;
    for (int i = 0; i < count; i++) {
        if (flows[i].fate != SERVED || flows[i].answers != 1) {
            all = 0;
            continue;
        }
        sockets += !served[flows[i].answered[0]];
        served[flows[i].answered[0]] = 1;
    }
    return sockets == stood || (all && sockets == 1);
}

void group_limit(struct trial *trial)
{
    int count = trial->question->flows, sent = 0;
    struct outcome last;
    reserve_port(trial);
    need_descriptors(trial, CHUNK + trial->question->sockets);
    group_process_fork(trial);
    int stood = group_process_hear(trial, &last);
    if (stood == 0 && last.call == CALL_SETSOCKOPT)
        unsupported(trial, "setsockopt(%s): %s", option_label(trial->option),
                    errno_name(last.error));
    if (stood == 0)
        broken("no socket of the group stands: %s: %s", call_name(last.call),
               errno_name(last.error));
    emit_fact("stood", stood);
    emit_attempt("last", last);
    struct flow *flows = flows_new(trial, count);
    while (sent < count && (sent == 0 || !settled(flows, sent, stood))) {
        int more = count - sent < CHUNK ? count - sent : CHUNK;
        flows_serve(trial, NULL, flows + sent, more);
        sent += more;
    }
    emit_flows(trial, "all", flows, sent, 0);
    flows_end(trial, flows, count);
}
