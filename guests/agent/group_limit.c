/* Hundreds of sockets in one group: how many may stand, and how many of them are ever served. */
#include "agent.h"

#include <string.h>

/* Flows at a time: so many descriptors are open beside the group's, and not one for each flow. */
enum { CHUNK = 400 };

void group_limit(struct trial *trial)
{
    int count = trial->question->flows;
    struct outcome last;
    reserve_port(trial);
    need_descriptors(trial, CHUNK + trial->question->sockets);
    crowd_fork(trial);
    int stood = crowd_hear(trial, &last);
    if (stood == 0 && strcmp(last.call, "setsockopt") == 0)
        unsupported(trial, "setsockopt(%s): %s",
                    trial->option >= REUSEPORT_LB ? "SO_REUSEPORT_LB" : "SO_REUSEPORT",
                    errno_name(last.error));
    if (stood == 0)
        broken("no socket of the group stands: %s: %s", last.call, errno_name(last.error));
    emit_fact("stood", stood);
    emit_attempt("last", last);
    struct flow *flows = flows_new(trial, count);
    for (int i = 0; i < count; i += CHUNK)
        flows_serve(trial, NULL, flows + i, count - i < CHUNK ? count - i : CHUNK);
    emit_flows(trial, "all", flows, count, 0);
    flows_end(flows, count);
}
