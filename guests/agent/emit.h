/* What the agent says: one JSON object a line (docs/wire.md, "Saying"). */
#ifndef EMIT_H
#define EMIT_H

#include "platform.h"
#include "outcome.h"

#include <stddef.h>
#include <stdint.h>

struct flow;
struct trial;

void emit_begin(const struct trial *, const char *scenario);

/* `bind` and `listen` are ranks, -1 if not done. */
void emit_member(int index, int bind, int listen, struct outcome);
void emit_change(const struct trial *, const char *what, int member, int error);

/* Of a change that happened before, `at` by clock_ms(). */
void emit_change_at(const struct trial *, const char *what, int member, int error, int64_t at);

/* The flows of this group only. */
void emit_flows(const struct trial *, const char *phase, const struct flow *, int count, int group);
void emit_attempt(const char *what, struct outcome);
void emit_fact(const char *name, long long value);
void emit_fact_text(const char *name, const char *value);
void emit_unsupported(const char *why);
void emit_end(const struct trial *, int gap);

/* Into a string, because the batch writes it after what the question's own process said. */
void emit_exit(char *line, size_t size, const char *id, int status, int signal,
               int64_t took);

#endif
