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
enum { CHUNK = 400 };

void group_limit(struct trial *trial)
{
    int count = trial->question->flows;
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
    for (int i = 0; i < count; i += CHUNK)
        flows_serve(trial, NULL, flows + i, count - i < CHUNK ? count - i : CHUNK);
    emit_flows(trial, "all", flows, count, 0);
    flows_end(trial, flows, count);
}
