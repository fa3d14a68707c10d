/* What the harness has put beside the agent about one server: docs/wire.md, "Plans". */
#ifndef PLAN_H
#define PLAN_H

#include "platform.h"
#include "plan_steps.h"

#include <stddef.h>

enum { MAX_PROGRAMS = 16, MAX_FILES = 64, MAX_CHECKS = 8 };

enum dialogue_protocol { BY_HTTP, BY_PLAIN_TCP, BY_DNS_UDP, BY_DNS_TCP };

/* Bytes that may hold anything; a zero follows them. */
struct plan_text {
    char *bytes;
    size_t size;
};

struct plan_file {
    char *path; /* relative to the server's folder */
    struct plan_text text;
};

struct plan {
    const char *root; /* the unpacked system that the server lives in; null: this one */
    const char *unsupported; /* why it cannot be asked for here; null: it can */
    int needs_root;
    const char *checks[MAX_CHECKS], *lacks[MAX_CHECKS]; /* lines for the shell, and what is missing
                                                          * where one fails */
    int check_count;
    int once;        /* a connection serves one request */
    const char *pid; /* the pid file of a server that leaves the foreground; null: it does not */
    const char *programs[MAX_PROGRAMS];
    struct plan_file files[MAX_FILES];
    int program_count, file_count;
    int protocol, workers, ready; /* ready: ms that the first answer may take */
    struct plan_text request, answer;
    const char *start;
    struct plan_steps way, stop;
    int tells; /* its answers say their generation */
};

/* Remembers where plans are: beside the program of this name. */
void plan_beside(const char *program);

/* The absolute path of that program; it may be empty. */
void plan_program(char *path, size_t size);

/* Reads the plan of a server, with the steps of this way.  A bad one ends the process. */
void plan_read(struct plan *, const char *server, const char *way);

#endif
