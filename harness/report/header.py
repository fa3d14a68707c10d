"""A C header with the measured answers, by which an application can choose at run time.

Every row comes from measured cells (`choices`) and names its guests in a comment. A guest's text
never becomes an identifier and cannot end a comment.
"""

import re
from collections.abc import Iterator, Mapping

from harness.matrix import Matrix
from harness.report.choices import LARGEST, OPTIONS, QUESTIONS, Answers, AnswerSpan, Choice

SYSTEMS: Mapping[str, str] = {
    "Linux": "defined(__linux__)",
    "FreeBSD": "defined(__FreeBSD__)",
    "DragonFly": "defined(__DragonFly__)",
    "NetBSD": "defined(__NetBSD__)",
    "OpenBSD": "defined(__OpenBSD__)",
    "Darwin": "defined(__APPLE__) && defined(__MACH__)",
}
"""uname's name of a system, and the test for the macro that its compilers define."""

TOP = """\
/*
 * What kernels do when several sockets share one port, as measured by reuseport-matrix.
 * Made by `report --format header` from run {run} of {started} ({catalogue}).
 *
 * rpm_answer(question, option, release) returns what was measured on this system. Set release to
 * utsname.release of uname(2), or to NULL for the running kernel (on macOS this is Darwin's
 * release: 24.x, not 15.x). Releases are compared by their first two numbers.
 *
 * RPM_UNKNOWN  not measured: neither this release, nor two around it with the same answer
 * RPM_BEYOND   older or newer than all measured releases; rpm_nearest() returns the nearest answer
 * RPM_MIXED    the answer depends on family or bind address, or kernels of this release differ
 */
#ifndef REUSEPORT_MATRIX_H
#define REUSEPORT_MATRIX_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#if defined(__GNUC__)
#define RPM_UNUSED __attribute__((unused))
#else
#define RPM_UNUSED
#endif

"""

NOT_OF_A_VERDICT = ("unknown", "beyond", "mixed")
"""The answers that are not a scenario's word. The first one has the value 0."""

BASE = LARGEST + 1

BOTTOM = """\

/* The first two numbers of a release as one number; -1 if it does not begin with two. */
static long RPM_UNUSED rpm_number(const char *release)
{
    long parts[2] = {0, 0};
    int part, digits;

    for (part = 0; part < 2; part++) {
        for (digits = 0; *release >= '0' && *release <= '9'; digits++) {
            if (digits == 4)
                return -1;
            parts[part] = parts[part] * 10 + (*release++ - '0');
        }
        if (digits == 0 || (part == 0 && *release++ != '.'))
            return -1;
    }
    return RPM_RELEASE(parts[0], parts[1]);
}

static enum rpm_word RPM_UNUSED rpm_find(enum rpm_question question, enum rpm_option option,
                                         const char *release, int nearest)
{
    const struct rpm_row *row, *first = NULL, *last = NULL;
    struct utsname name;
    long number;
    size_t i;

    if (release == NULL) {
        if (uname(&name) < 0)
            return RPM_UNKNOWN;
        release = name.release;
    }
    number = rpm_number(release);
    for (i = 0; i + 1 < sizeof(rpm_rows) / sizeof(rpm_rows[0]); i++) {
        row = &rpm_rows[i];
        if (row->question != question || row->option != option)
            continue;
        if (number >= row->since && number <= row->until)
            return row->word;
        if (first == NULL)
            first = row;
        last = row;
    }
    if (first == NULL || number < 0)
        return RPM_UNKNOWN;
    if (number < first->since)
        return nearest ? first->word : RPM_BEYOND;
    if (number > last->until)
        return nearest ? last->word : RPM_BEYOND;
    return RPM_UNKNOWN;
}

/* What was measured of this release. */
static enum rpm_word RPM_UNUSED rpm_answer(enum rpm_question question, enum rpm_option option,
                                           const char *release)
{
    return rpm_find(question, option, release, 0);
}

/* The same, but beyond all measured releases the answer of the nearest one. That is a guess. */
static enum rpm_word RPM_UNUSED rpm_nearest(enum rpm_question question, enum rpm_option option,
                                            const char *release)
{
    return rpm_find(question, option, release, 1);
}

/* An option with this measured answer; RPM_NO_OPTION if there is none. */
static enum rpm_option RPM_UNUSED rpm_option_for(enum rpm_question question, enum rpm_word word,
                                                 const char *release)
{
    if (rpm_answer(question, RPM_REUSEPORT_LB, release) == word)
        return RPM_REUSEPORT_LB;
    if (rpm_answer(question, RPM_REUSEPORT, release) == word)
        return RPM_REUSEPORT;
    return RPM_NO_OPTION;
}

/* The option's number for setsockopt(2) at SOL_SOCKET; -1 if these headers do not define it (glibc
 * does not for -std=c99 without _DEFAULT_SOURCE). */
static int RPM_UNUSED rpm_socket_option(enum rpm_option option)
{
#ifdef SO_REUSEPORT
    if (option == RPM_REUSEPORT)
        return SO_REUSEPORT;
#endif
#ifdef SO_REUSEPORT_LB
    if (option == RPM_REUSEPORT_LB)
        return SO_REUSEPORT_LB;
#endif
    (void)option;
    return -1;
}

#endif
"""


def render(matrix: Matrix) -> str:
    """Return the header."""
    return "".join(_parts(matrix))


def _parts(matrix: Matrix) -> Iterator[str]:
    run, answers = matrix.run, Answers(matrix)
    yield TOP.format(
        run=_comment(run.id), started=_comment(run.started), catalogue=run.catalogue.value
    )
    yield f"enum rpm_option {{ RPM_NO_OPTION, {', '.join(map(_name, OPTIONS))} }};\n\n"
    yield from _questions()
    yield from _words()
    yield "struct rpm_row {\n    enum rpm_question question;\n    enum rpm_option option;\n"
    yield "    long since, until;\n    enum rpm_word word;\n};\n\n"
    yield f"#define RPM_RELEASE(major, minor) ((major) * {BASE}L + (minor))\n\n"
    yield "static const struct rpm_row rpm_rows[] = {\n"
    for at, (system, macro) in enumerate(SYSTEMS.items()):
        yield f"#{'el' if at else ''}if {macro}\n"
        for question in QUESTIONS:
            for option in OPTIONS:
                for span in answers.spans(system, question, option):
                    yield _row(question, option, span)
    # C99 has no empty array (6.7.8), so a row that no release matches ends it.
    yield "#endif\n    {RPM_BALANCE_TCP, RPM_NO_OPTION, -2, -2, RPM_UNKNOWN}\n};\n"
    yield BOTTOM


def _questions() -> Iterator[str]:
    yield "enum rpm_question {\n"
    for at, question in enumerate(QUESTIONS):
        comma = "," if at + 1 < len(QUESTIONS) else ""
        yield f"    RPM_{question.name}{comma} /* {question.asks} ({question.scenario}) */\n"
    yield "};\n\n"


def _words() -> Iterator[str]:
    """Yield the enum of all answers, and the function that returns their text."""
    words = [one for question in QUESTIONS for one in question.words]
    every = dict.fromkeys([*NOT_OF_A_VERDICT, *words])
    names = ",\n    ".join(map(_name, every))
    yield f"enum rpm_word {{\n    {names}\n}};\n\n"
    yield "/* The word of the matrix, for a log. */\n"
    yield "static RPM_UNUSED const char *rpm_text(enum rpm_word word)\n{\n    switch (word) {\n"
    yield from (f'    case {_name(one)}: return "{one}";\n' for one in every)
    yield '    }\n    return "unknown";\n}\n\n'


def _name(known: str) -> str:
    """Return the C name of a word of the catalogue; never call it with a guest's text."""
    return f"RPM_{re.sub('[^A-Z0-9]', '_', known.upper())}"


def _row(question: Choice, option: str, span: AnswerSpan) -> str:
    since, until = (f"RPM_RELEASE({', '.join(map(str, at))})" for at in (span.first, span.last))
    said = "mixed" if len(span.words) > 1 else next(iter(span.words), "unknown")
    row = f"{{RPM_{question.name}, {_name(option)}, {since}, {until}, {_name(said)}}}"
    mixed = f": {' '.join(sorted(span.words))}" if len(span.words) > 1 else ""
    guests = ", ".join(f"{_comment(one.guest)} ({_comment(one.release)})" for one in span.told)
    return f"    {row}, /* {guests}{mixed} */\n"


def _comment(text: str) -> str:
    """Return a text made safe for a C comment; `?` could begin a trigraph (C99, 5.2.1.1)."""
    return re.sub(r"[^A-Za-z0-9._:+ -]", "_", text[:80])
