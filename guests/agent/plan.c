/* What the harness has put beside the agent about one server: docs/wire.md, "Plans".
 *
 * A plan is lines: a word, and what follows it.  A number of bytes says how many follow the line;
 * they may hold anything, and a newline ends them. */
#include "plan.h"

#include "ending.h"
#include "errno_name.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST = 4 << 20 };

static const char *beside = "agent";

struct reading {
    struct plan *plan;
    const char *name, *way_asked;
    char *at, *end;
    int line, found, ended;
    struct plan_steps other; /* of a way that is not asked for */
    struct plan_steps *steps; /* where the next step goes; null before the first way */
};

void plan_beside(const char *program)
{
    beside = program;
}

void plan_program(char *path, size_t size)
{
    char *real = realpath(beside, NULL);
    snprintf(path, size, "%s", real == NULL ? "" : real);
    free(real);
}

static void bad(const struct reading *reading, const char *why)
{
    broken("plan of %s, line %d: %s", reading->name, reading->line, why);
}

/* The whole file, with a zero behind it. */
static char *contents(const char *server, size_t *size)
{
    const char *slash = strrchr(beside, '/');
    char path[4096];
    snprintf(path, sizeof path, "%.*sserver-%s", slash == NULL ? 0 : (int)(slash - beside) + 1,
             beside, server);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        broken("no plan of %s: %s: %s", server, path, errno_name(errno));
    char *text = malloc(LARGEST + 1);
    if (text == NULL)
        broken("no memory for a plan");
    *size = fread(text, 1, LARGEST, file);
    if (ferror(file) || *size == LARGEST)
        broken("the plan of %s cannot be read, or is too long", server);
    fclose(file);
    text[*size] = '\0';
    return text;
}

static char *next_line(struct reading *reading)
{
    char *line = reading->at;
    char *end = memchr(line, '\n', (size_t)(reading->end - line));
    reading->line++;
    if (end == NULL)
        bad(reading, "the plan has no end");
    *end = '\0';
    reading->at = end + 1;
    return line;
}

static int number(const struct reading *reading, const char *text, int most)
{
    size_t length = strlen(text);
    if (length == 0 || length > 8 || strspn(text, "0123456789") != length || atoi(text) > most)
        bad(reading, "a number is missing, or too large");
    return atoi(text);
}

static struct plan_text bytes(struct reading *reading, const char *count)
{
    size_t size = (size_t)number(reading, count, LARGEST);
    struct plan_text text = { reading->at, size };
    if ((size_t)(reading->end - reading->at) <= size || reading->at[size] != '\n')
        bad(reading, "the bytes do not end where the line says");
    for (size_t i = 0; i <= size; i++)
        reading->line += text.bytes[i] == '\n';
    text.bytes[size] = '\0';
    reading->at += size + 1;
    return text;
}

static void take_protocol(struct reading *reading, char *rest)
{
    static const char *const protocols[] = { "http", "tcp", "dns-udp", "dns-tcp" };
    for (int i = 0; i < 4; i++)
        if (strcmp(protocols[i], rest) == 0) {
            reading->plan->protocol = i;
            return;
        }
    bad(reading, "no such protocol");
}

/* It must stay inside the folder. */
static void take_file(struct reading *reading, char *rest)
{
    struct plan *plan = reading->plan;
    char *space = strrchr(rest, ' ');
    if (space == NULL || plan->file_count == MAX_FILES)
        bad(reading, "a path and a size are missing, or there are too many files");
    *space = '\0';
    if (rest[0] == '\0' || rest[0] == '/' || strstr(rest, "..") != NULL)
        bad(reading, "a file's path is relative to the folder");
    struct plan_file *file = &plan->files[plan->file_count++];
    file->path = rest;
    file->text = bytes(reading, space + 1);
}

static void take_program(struct reading *reading, char *rest)
{
    if (rest[0] == '\0' || reading->plan->program_count == MAX_PROGRAMS)
        bad(reading, "a program is missing, or there are too many");
    reading->plan->programs[reading->plan->program_count++] = rest;
}

static void take_way(struct reading *reading, char *rest)
{
    int asked = strcmp(rest, reading->way_asked) == 0;
    reading->found |= asked;
    reading->other.count = 0;
    reading->steps = asked ? &reading->plan->way : &reading->other;
}

static void take_step(struct reading *reading, char *rest)
{
    if (reading->steps == NULL)
        bad(reading, "a step before the first way");
    const char *why = plan_step_add(reading->steps, rest);
    if (why != NULL)
        bad(reading, why);
}

static void take_stop(struct reading *reading, char *rest)
{
    (void)rest;
    reading->steps = &reading->plan->stop;
}

static void take_end(struct reading *reading, char *rest)
{
    (void)rest;
    reading->ended = 1;
}

static void take_root(struct reading *reading, char *rest) { reading->plan->root = rest; }
static void take_start(struct reading *reading, char *rest) { reading->plan->start = rest; }

static void take_request(struct reading *reading, char *rest)
{
    reading->plan->request = bytes(reading, rest);
}

static void take_answer(struct reading *reading, char *rest)
{
    reading->plan->answer = bytes(reading, rest);
}

static void take_workers(struct reading *reading, char *rest)
{
    reading->plan->workers = number(reading, rest, 1000);
}

static void take_ready(struct reading *reading, char *rest)
{
    reading->plan->ready = number(reading, rest, 600000);
}

static void take_unsupported(struct reading *reading, char *rest)
{
    reading->plan->unsupported = rest;
}

static void take_need(struct reading *reading, char *rest)
{
    if (strcmp(rest, "root") != 0)
        bad(reading, "only root can be needed");
    reading->plan->needs_root = 1;
}

static void take_check(struct reading *reading, char *rest)
{
    struct plan *plan = reading->plan;
    if (plan->check_count == MAX_CHECKS)
        bad(reading, "too many checks");
    plan->lacks[plan->check_count] = "";
    plan->checks[plan->check_count++] = rest;
}

static void take_lacks(struct reading *reading, char *rest)
{
    if (reading->plan->check_count == 0)
        bad(reading, "nothing is checked");
    reading->plan->lacks[reading->plan->check_count - 1] = rest;
}

/* It must stay inside the folder. */
static void take_pid(struct reading *reading, char *rest)
{
    if (rest[0] == '\0' || rest[0] == '/' || strstr(rest, "..") != NULL)
        bad(reading, "a pid file's path is relative to the folder");
    reading->plan->pid = rest;
}

static void take_once(struct reading *reading, char *rest)
{
    (void)rest;
    reading->plan->once = 1;
}

static const struct {
    const char *word;
    void (*take)(struct reading *, char *rest);
} words[] = {
    { "root", take_root }, { "program", take_program }, { "protocol", take_protocol },
    { "request", take_request }, { "answer", take_answer }, { "workers", take_workers },
    { "file", take_file }, { "start", take_start }, { "ready", take_ready },
    { "unsupported", take_unsupported }, { "need", take_need }, { "check", take_check },
    { "lacks", take_lacks }, { "pid", take_pid }, { "once", take_once }, { "way", take_way },
    { "step", take_step }, { "stop", take_stop }, { "end", take_end }
};

static void take_line(struct reading *reading, char *line)
{
    size_t length = strcspn(line, " ");
    char *rest = line[length] == ' ' ? line + length + 1 : line + length;
    line[length] = '\0';
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(words[i].word, line) == 0) {
            words[i].take(reading, rest);
            return;
        }
    bad(reading, "no such word");
}

static int mentions(const struct plan *plan)
{
    static const char *const word = "{generation}";
    int found = strstr(plan->start, word) != NULL;
    for (int i = 0; i < plan->file_count; i++)
        found |= strstr(plan->files[i].text.bytes, word) != NULL;
    for (int i = 0; i < plan->way.count; i++)
        found |= strstr(plan->way.steps[i].said, word) != NULL;
    return found;
}

void plan_read(struct plan *plan, const char *server, const char *way)
{
    struct reading *reading = calloc(1, sizeof *reading);
    size_t size;
    char *text = contents(server, &size);
    if (reading == NULL)
        broken("no memory for a plan");
    memset(plan, 0, sizeof *plan);
    plan->workers = 1;
    plan->ready = 10000;
    *reading = (struct reading){ .plan = plan, .name = server, .way_asked = way, .at = text,
                                 .end = text + size };
    if (strcmp(next_line(reading), "plan 1") != 0)
        bad(reading, "a plan begins with: plan 1");
    while (!reading->ended)
        take_line(reading, next_line(reading));
    if (plan->start == NULL)
        bad(reading, "it has no start");
    if (plan->protocol == BY_PLAIN_TCP && (plan->request.size == 0 || plan->answer.size == 0))
        bad(reading, "tcp needs a request and an answer");
    if (!reading->found)
        broken("the plan of %s has no way %s", server, way);
    plan->tells = mentions(plan);
    free(reading);
}
