"""A C header: what an application can choose by, at compile time and by the kernel's release.

Every row comes from measured cells and names the guests in a comment; what was not measured is
RPM_UNKNOWN, a release outside all that was measured is that, too. No identifier is made of a
guest's text.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from harness.claims.evidence import Release, numbers
from harness.matrix import Entry, Matrix
from harness.model import State, word
from harness.scenarios import CATALOGUE

SYSTEMS: Mapping[str, str] = {
    "Linux": "defined(__linux__)",
    "FreeBSD": "defined(__FreeBSD__)",
    "DragonFly": "defined(__DragonFly__)",
    "NetBSD": "defined(__NetBSD__)",
    "OpenBSD": "defined(__OpenBSD__)",
    "Darwin": "defined(__APPLE__) && defined(__MACH__)",
}
"""What uname calls a system to what its compilers define."""

OPTIONS: Mapping[str, str] = {"reuseport": "RPM_REUSEPORT", "reuseport_lb": "RPM_REUSEPORT_LB"}

PLAIN = ("tunables", "peer", "ack", "source", "delivery")
"""Axes that make a cell a special case; of `ack` the handshake that is not delayed is meant."""


class Question(Struct, frozen=True):
    """What an application asks: the cells that answer it, at every family and bind address."""

    name: str
    scenario: str
    axes: Mapping[str, str]
    asks: str


QUESTIONS = (
    Question("BALANCE_TCP", "distribution", {"protocol": "tcp"}, "who accepts new connections"),
    Question("BALANCE_UDP", "distribution", {"protocol": "udp"}, "who gets many peers' datagrams"),
    Question("TAKEOVER_TCP", "takeover", {"protocol": "tcp"}, "who serves once a newcomer listens"),
    Question("TAKEOVER_UDP", "takeover", {"protocol": "udp"}, "the same for datagrams"),
    Question("QUEUE_AT_CLOSE", "failure-queued", {"failure": "close"}, "a closed listener's queue"),
    Question("QUEUE_AT_KILL", "failure-queued", {"failure": "kill"}, "a killed worker's queue"),
    Question("HANDSHAKE_AT_KILL", "failure-handshake", {"failure": "kill"}, "and its handshakes"),
    Question(
        "OTHERS_AT_KILL", "failure-established", {"failure": "kill"}, "its siblings' connections"
    ),
    Question("HUNG_WORKER", "failure-hung", {"protocol": "tcp"}, "the share of a stopped worker"),
    Question("BOUND_ONLY", "bound-only", {"protocol": "tcp"}, "a socket that does not listen yet"),
    Question("DRAIN_CLOSE", "drain", {"way": "close"}, "accept until empty, then close"),
    Question("DRAIN_PASS", "drain", {"way": "pass"}, "pass the descriptor to a sibling"),
)

TOP = """\
/*
 * What kernels do when several sockets share one port, as measured by reuseport-matrix.
 * Made by `report --format header` from run {run} of {started} ({catalogue}).
 *
 * rpm_answer(question, option, release) says what was measured on this system; release is
 * utsname.release of uname(2), NULL for this kernel's. Releases are compared by their first two
 * numbers. RPM_UNKNOWN: not measured there. RPM_MIXED: it depends on family or bind address.
 * Between two releases that were measured with the same answer, that is the answer.
 */
#ifndef REUSEPORT_MATRIX_H
#define REUSEPORT_MATRIX_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/utsname.h>

"""

BOTTOM = """\

#if defined(__GNUC__)
#define RPM_UNUSED __attribute__((unused))
#else
#define RPM_UNUSED
#endif

/* The first two numbers of a release, as one; -1 if it does not begin with two. */
static long RPM_UNUSED rpm_number(const char *release)
{
    long parts[2] = {0, 0};
    int part, digits;

    for (part = 0; part < 2; part++) {
        for (digits = 0; *release >= '0' && *release <= '9' && digits < 5; digits++)
            parts[part] = parts[part] * 10 + (*release++ - '0');
        if (digits == 0 || (part == 0 && *release++ != '.'))
            return -1;
    }
    return parts[0] * 100000 + parts[1];
}

static enum rpm_word RPM_UNUSED rpm_answer(enum rpm_question question, enum rpm_option option,
                                           const char *release)
{
    struct utsname name;
    long number;
    size_t i;

    if (release == NULL) {
        if (uname(&name) < 0)
            return RPM_UNKNOWN;
        release = name.release;
    }
    number = rpm_number(release);
    for (i = 0; i + 1 < sizeof(rpm_rows) / sizeof(rpm_rows[0]); i++)
        if (rpm_rows[i].question == question && rpm_rows[i].option == option &&
            number >= rpm_rows[i].since && number <= rpm_rows[i].until)
            return rpm_rows[i].word;
    return RPM_UNKNOWN;
}

/* The option whose measured answer is this; RPM_NO_OPTION if none's is. */
static enum rpm_option RPM_UNUSED rpm_option_for(enum rpm_question question, enum rpm_word word,
                                                 const char *release)
{
    if (rpm_answer(question, RPM_REUSEPORT_LB, release) == word)
        return RPM_REUSEPORT_LB;
    if (rpm_answer(question, RPM_REUSEPORT, release) == word)
        return RPM_REUSEPORT;
    return RPM_NO_OPTION;
}

/* What to give to setsockopt(2) at SOL_SOCKET; -1 if these headers do not define it. */
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


class Told(Struct, frozen=True):
    """A guest's answer: its release, and the one word of all its cells, None if they differ."""

    guest: str
    release: str
    number: Release
    word: str | None


def render(matrix: Matrix) -> str:
    """Return the header."""
    return "".join(_parts(matrix))


def _parts(matrix: Matrix) -> Iterator[str]:
    run = matrix.run
    yield TOP.format(
        run=_comment(run.id), started=_comment(run.started), catalogue=run.catalogue.value
    )
    yield "enum rpm_option { RPM_NO_OPTION, RPM_REUSEPORT, RPM_REUSEPORT_LB };\n\n"
    yield "enum rpm_question {\n"
    for at, question in enumerate(QUESTIONS):
        comma = "," if at + 1 < len(QUESTIONS) else ""
        yield f"    RPM_{question.name}{comma} /* {question.asks} ({question.scenario}) */\n"
    yield "};\n\nenum rpm_word {\n    RPM_UNKNOWN,\n    RPM_MIXED"
    yield "".join(f",\n    {name}" for name in _names().values())
    yield "\n};\n\nstruct rpm_row {\n    enum rpm_question question;\n    enum rpm_option option;\n"
    yield "    long since, until;\n    enum rpm_word word;\n};\n\n"
    yield "static const struct rpm_row rpm_rows[] = {\n"
    for at, (system, macro) in enumerate(SYSTEMS.items()):
        yield f"#{'el' if at else ''}if {macro}\n"
        yield from _rows(matrix, system)
    yield "#endif\n    {RPM_BALANCE_TCP, RPM_NO_OPTION, -2, -2, RPM_UNKNOWN}\n};\n"
    yield BOTTOM


def _names() -> Mapping[str, str]:
    """Return every word of the questions' scenarios, and what it is called in C."""
    words = [one for question in QUESTIONS for one in CATALOGUE[question.scenario].words]
    return {one: f"RPM_{re.sub('[^A-Z0-9]', '_', one.upper())}" for one in dict.fromkeys(words)}


def _rows(matrix: Matrix, system: str) -> Iterator[str]:
    guests = [name for name, facts in matrix.guests.items() if facts.get("system") == system]
    for question in QUESTIONS:
        for option, name in OPTIONS.items():
            told = [_told(matrix, guest, question, option) for guest in guests]
            known = sorted((one for one in told if one), key=lambda one: (one.number, one.guest))
            for group in _ranges(known):
                yield _row(question, name, group)


def _told(matrix: Matrix, guest: str, question: Question, option: str) -> Told | None:
    release = str(matrix.guests[guest].get("release") or "")
    number = numbers(release)[:2]
    wanted = {**question.axes, "option": option}
    words = {
        word(cell.verdict or "").partition(":")[0]
        for cell in matrix.cells
        if cell.guest == guest and _asked(cell, question.scenario, wanted)
    }
    if not words or len(number) < 2:
        return None
    return Told(guest, release, number, words.pop() if len(words) == 1 else None)


def _asked(cell: Entry, scenario: str, wanted: Mapping[str, str]) -> bool:
    if cell.scenario != scenario or cell.state is not State.MEASURED:
        return False
    special = cell.axes.keys() & {*PLAIN} - {"ack"}
    usual = cell.axes.get("ack", "at-once") == "at-once"
    alone = special <= ({"peer"} if scenario == "failure-handshake" else set())
    return usual and alone and wanted.items() <= cell.axes.items()


def _ranges(told: Sequence[Told]) -> Iterator[list[Told]]:
    """Yield neighbours with one word; guests of one release that differ make it mixed."""
    by_number: dict[Release, list[Told]] = {}
    for one in told:
        by_number.setdefault(one.number, []).append(one)
    group: list[Told] = []
    for some in by_number.values():
        same = some if len({one.word for one in some}) == 1 else [_mixed(one) for one in some]
        if group and group[-1].word != same[0].word:
            yield group
            group = []
        group += same
    if group:
        yield group


def _mixed(one: Told) -> Told:
    return Told(one.guest, one.release, one.number, None)


def _row(question: Question, option: str, group: Sequence[Told]) -> str:
    since, until = (f"{one.number[0]} * 100000L + {one.number[1]}" for one in (group[0], group[-1]))
    said = group[0].word
    name = "RPM_MIXED" if said is None else _names().get(said, "RPM_MIXED")
    guests = ", ".join(f"{_comment(one.guest)} ({_comment(one.release)})" for one in group)
    return f"    {{RPM_{question.name}, {option}, {since}, {until}, {name}}}, /* {guests} */\n"


def _comment(text: str) -> str:
    """Return what of a text may stand in a comment."""
    return re.sub(r"[^A-Za-z0-9._:+ -]", "?", text[:80])
