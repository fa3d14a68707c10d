/* The files of a server: written from the plan, and what it has written itself. */
#ifndef SERVER_FILES_H
#define SERVER_FILES_H

#include "platform.h"

#include <stddef.h>

struct keeper;

/* The text with its placeholders filled in, and a zero; null without memory.  `made`: its size. */
char *server_fill(const struct keeper *, const char *text, size_t size, size_t *made);

/* Writes all files anew, each in one step; 0, or the errno. */
int server_write(const struct keeper *);

/* Adds to the tail of what the server has said. */
void server_hear(struct keeper *, const char *bytes, size_t count);

/* The end of what it has said, and of its *.log files. */
void server_said(const struct keeper *, char *into, size_t size);

#endif
