/* A question that cannot be asked here ends with an `unsupported` line and exit status 77. */
#include "unsupported.h"

#include "emit.h"
#include "ending.h"
#include "metronome.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void end_unsupported(struct trial *trial, const char *why)
{
    emit_unsupported(why);
    emit_end(trial, metronome_stop());
    clear_away();
    exit(EXIT_UNSUPPORTED);
}

void unsupported(struct trial *trial, const char *format, ...)
{
    char why[200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    end_unsupported(trial, why);
}

void short_of(struct trial *trial, const char *format, ...)
{
    char what[150], why[200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    snprintf(why, sizeof why, "this guest is short of %s", what);
    end_unsupported(trial, why);
}
