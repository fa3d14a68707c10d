/* What the agent says: one JSON object a line (docs/wire.md, "Saying"). */
#include "emit.h"

#include "clock.h"
#include "ending.h"
#include "errno_name.h"
#include "flow.h"
#include "trial.h"

#include <stdio.h>
#include <string.h>

/* Flushes each line, so that a crash does not lose the lines before it. */
static void line_end(void)
{
    putchar('\n');
    if (fflush(stdout) != 0)
        broken("standard output is gone");
}

static void say_text(const char *text)
{
    putchar('"');
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\')
            printf("\\%c", *c);
        else if (*c < 0x20 || *c > 0x7e)
            printf("\\u%04x", *c);
        else
            putchar(*c);
    }
    putchar('"');
}

static void say_or_null(const char *text)
{
    if (text == NULL)
        printf("null");
    else
        say_text(text);
}

static void say_outcome(struct outcome outcome)
{
    printf(",\"call\":");
    say_or_null(call_name(outcome.call));
    printf(",\"error\":");
    say_or_null(outcome.call == NO_CALL ? NULL : errno_name(outcome.error));
    putchar('}');
    line_end();
}

void emit_begin(const struct trial *trial, const char *scenario)
{
    const struct question *question = trial->question;
    printf("{\"event\":\"begin\",\"wire\":1,\"id\":");
    say_text(question->id);
    printf(",\"scenario\":");
    say_text(scenario);
    printf(",\"token\":\"%s\",\"parameters\":{", trial->token);
    for (int i = 0; i < question->pair_count; i++) {
        char key[32];
        size_t length = strcspn(question->pairs[i], "=");
        snprintf(key, sizeof key, "%.*s", (int)length, question->pairs[i]);
        printf("%s", i > 0 ? "," : "");
        say_text(key);
        putchar(':');
        say_text(question->pairs[i] + length + 1);
    }
    printf("}}");
    line_end();
}

static void say_rank(const char *key, int rank)
{
    if (rank < 0)
        printf(",\"%s\":null", key);
    else
        printf(",\"%s\":%d", key, rank);
}

void emit_member(int index, int bind, int listen, struct outcome outcome)
{
    printf("{\"event\":\"member\",\"index\":%d", index);
    say_rank("bind", bind);
    say_rank("listen", listen);
    say_outcome(outcome);
}

void emit_change(const struct trial *trial, const char *what, int member, int error)
{
    emit_change_at(trial, what, member, error, clock_ms());
}

void emit_change_at(const struct trial *trial, const char *what, int member, int error, int64_t at)
{
    printf("{\"event\":\"change\",\"what\":\"%s\",\"member\":%d,\"at\":%d,\"error\":", what, member,
           (int)(at - trial->began));
    say_or_null(error == 0 ? NULL : errno_name(error));
    putchar('}');
    line_end();
}

static void say_fate(const struct flow *flow)
{
    static const char *const words[] = {
        [UNDECIDED] = "open", [TIMED_OUT] = "timeout", [LEFT_OPEN] = "open", [ENDED] = "eof",
        [FOREIGN] = "foreign", [REJECTED] = "failed"
    };
    if (flow->fate == SERVED && flow->answers == 1) {
        printf("%d", flow->answered[0]);
    } else if (flow->fate == SERVED) {
        for (int i = 0; i < flow->answers; i++)
            printf("%c%d", i == 0 ? '[' : ',', flow->answered[i]);
        putchar(']');
    } else {
        say_text(flow->fate == FAILED ? errno_name(flow->error) : words[flow->fate]);
    }
}

static void say_numbers(const struct trial *trial, const char *key, const struct flow *flows,
                        int count, int group)
{
    const char *comma = "";
    printf(",\"%s\":[", key);
    for (int i = 0; i < count; i++) {
        const struct flow *flow = &flows[i];
        if (flow->group != group)
            continue;
        int number = key[0] == 'p' ? flow->port
            : (int)(key[0] == 's' ? flow->started - trial->began : flow->ended - flow->started);
        printf("%s%d", comma, number);
        comma = ",";
    }
    putchar(']');
}

void emit_flows(const struct trial *trial, const char *phase, const struct flow *flows, int count,
                int group)
{
    const char *comma = "";
    printf("{\"event\":\"flows\",\"phase\":\"%s\",\"fates\":[", phase);
    for (int i = 0; i < count; i++) {
        if (flows[i].group != group)
            continue;
        printf("%s", comma);
        say_fate(&flows[i]);
        comma = ",";
    }
    putchar(']');
    say_numbers(trial, "ports", flows, count, group);
    say_numbers(trial, "started", flows, count, group);
    say_numbers(trial, "took", flows, count, group);
    putchar('}');
    line_end();
}

void emit_attempt(const char *what, struct outcome outcome)
{
    printf("{\"event\":\"attempt\",\"what\":\"%s\"", what);
    say_outcome(outcome);
}

void emit_fact(const char *name, long long value)
{
    printf("{\"event\":\"fact\",\"name\":");
    say_text(name);
    printf(",\"value\":%lld}", value);
    line_end();
}

void emit_fact_text(const char *name, const char *value)
{
    printf("{\"event\":\"fact\",\"name\":");
    say_text(name);
    printf(",\"value\":");
    say_text(value);
    putchar('}');
    line_end();
}

void emit_unsupported(const char *why)
{
    printf("{\"event\":\"unsupported\",\"why\":");
    say_text(why);
    putchar('}');
    line_end();
}

void emit_end(const struct trial *trial, int gap)
{
    printf("{\"event\":\"end\",\"took\":%d,\"gap\":%d}", (int)(clock_ms() - trial->began), gap);
    line_end();
}

/* An ID that is not plain ASCII was refused as a question; here its bytes are replaced. */
void emit_exit(char *line, size_t size, const char *id, int status, int signal,
               int64_t took)
{
    char plain[65];
    size_t length = 0;
    for (; id[length] != '\0' && length < sizeof plain - 1; length++) {
        unsigned char c = (unsigned char)id[length];
        plain[length] = c <= 0x20 || c > 0x7e || c == '"' || c == '\\' ? '?' : (char)c;
    }
    plain[length] = '\0';
    snprintf(line, size, "{\"event\":\"exit\",\"id\":\"%s\",\"status\":%d,\"signal\":%d,\"took\":%lld}\n",
             plain, status, signal, (long long)took);
}
