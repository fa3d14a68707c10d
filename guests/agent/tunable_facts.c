/* Tunables of the kernel, each said as a fact. */
#include "tunable_facts.h"

#include "emit.h"
#include "platform_tunable.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fact_tunable(const char *name)
{
    char text[TUNABLE], *rest;
    if (platform_tunable(name, text, sizeof text) != 0) {
        emit_fact_text(name, "absent");
        return;
    }
    errno = 0;
    long long number = strtoll(text, &rest, 10);
    if (text[0] != '\0' && *rest == '\0' && errno == 0)
        emit_fact(name, number);
    else
        emit_fact_text(name, text);
}

void emit_tunables(const char *names)
{
    while (*names != '\0') {
        char name[TUNABLE];
        size_t length = strcspn(names, ",");
        if (length > 0 && length < sizeof name) {
            snprintf(name, sizeof name, "%.*s", (int)strcspn(names, ",="), names);
            fact_tunable(name);
        }
        names += length + (names[length] == ',');
    }
}
