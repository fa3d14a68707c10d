/* Asks one question in this process, which ends with it. */
#include "ask.h"

#include "aliases.h"
#include "catalogue.h"
#include "emit.h"
#include "ending.h"
#include "errno_name.h"
#include "fast_open.h"
#include "limits.h"
#include "loopback.h"
#include "members.h"
#include "metronome.h"
#include "multipath.h"
#include "socket_client.h"
#include "sockets.h"
#include "trial.h"
#include "tun_client.h"
#include "tunable_control.h"
#include "tunable_facts.h"
#include "unsupported.h"

#include <stdlib.h>
#include <string.h>

/* Ends the question where the table of scenarios says that it cannot be asked like this. */
static void need_form(struct trial *trial, const struct scenario *scenario)
{
    const struct question *question = trial->question;
    const char *name = scenario->name;
    if (scenario->options && option_missing(question->option) != NULL)
        unsupported(trial, "%s", option_missing(question->option));
    if (question->udp && !scenario->udp)
        unsupported(trial, "%s has no UDP form", name);
    if (question->wildcard == MIXED && !scenario->mixed)
        unsupported(trial, "%s has no form with both addresses", name);
    if (question->peer == TUN && (question->protocol != TCP || !scenario->plays_peer))
        unsupported(trial, "%s has no form with a far end of our own", name);
    if (question->peer != TUN && scenario->only_peer != NULL)
        unsupported(trial, "%s", scenario->only_peer);
    if (!question->udp && !scenario->tcp)
        unsupported(trial, "%s has no TCP form", name);
    need_multipath(trial);
    need_fast_open(trial);
}

static void say_retries(const struct trial *trial)
{
    if (trial->rebinds > 0)
        emit_fact("rebind-retries", trial->rebinds);
    if (trial->resends > 0)
        emit_fact("send-retries", trial->resends);
    if (trial->fallbacks > 0)
        emit_fact("fallbacks", trial->fallbacks);
}

void ask(const struct scenario *scenario, const struct question *question)
{
    struct trial *trial = malloc(sizeof *trial);
    if (trial == NULL)
        broken("no memory");
    trial_open(trial, question);
    trial->client = question->peer == TUN ? &tun_client : &socket_client;
    trial->backlog = question->backlog >= 0 ? question->backlog : scenario->backlog;
    trial->backlog = backlog_within_limits(trial->backlog);
    alarm_start(question->alarm);
    emit_begin(trial, scenario->name);
    if (metronome_missing() != 0)
        short_of(trial, "processes: no metronome: fork: %s", errno_name(metronome_missing()));
    if (question->raise_loopback)
        raise_loopback(trial);
    if (question->obstacle[0] != '\0')
        unsupported(trial, "%s", question->obstacle);
    need_meaning(trial);
    need_form(trial, scenario);
    trial->client->open(trial);
    scenario->run(trial);
    members_end(trial);
    trial->client->close();
    aliases_end();
    say_retries(trial);
    if (strchr(question->tunables, '=') != NULL)
        emit_tunables(question->tunables); /* another run may have changed it meanwhile */
    emit_end(trial, metronome_stop());
    free(trial);
    exit(0);
}
