"""A hostile guest gets no verdict for a lie, and cannot fill the memory or alter the terminal."""

import json
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from fakes import FakeTransport, reply
from live_command import Ended, Here
from test_engine import SHARING, Bench

from harness.model import State
from harness.protocols import Sink

BUDGET = 150 << 10
"""The most KiB that the harness's process may take, whatever a guest does."""

GIB = 1 << 30

AGENT = """\
#!/bin/sh
[ "$1" = batch ] || exit 77
read -r line
set -- $line
if [ "$2" = facts ]; then
  begin='{"event":"begin","wire":1,"id":"facts","scenario":"facts","token":"0123456789abcdef",'
  shift 2
  parameters=$(printf ',%s' "$@" | sed 's/^,//; s/=/":"/g; s/,/","/g; s/.*/"&"/')
  echo "$begin\\"parameters\\":{$parameters}}"
  printf '%s\\n' '{"event":"fact","name":"sysname","value":"\\u001b[2J<script>alert(1)</script>"}'
  echo '{"event":"end","took":1,"gap":0}'
  echo '{"event":"exit","id":"facts","status":0,"signal":0}'
  exit 0
fi
"""
"""Passes the checks of a real agent, reports its system, and is hostile from then on."""


class Host:
    """This machine as a guest with a hostile agent, and the full command that measures it."""

    def __init__(self, folder: Path) -> None:
        self.here = Here(folder)
        self._guests = folder / "guests"
        self._guests.mkdir()
        (self._guests / "g.yaml").write_text(
            "name: hostile\nsystem: Hostile\nhost: {}\nagent: {path: agent}\n"
        )

    def run(self, does: str, *scenarios: str) -> Ended:
        (self._guests / "agent").write_text(f"{AGENT}{does}\n")
        asked = [word for name in scenarios for word in ("--scenario", name)]
        return self.here("run", "hostile", "--guests", "guests", "--out", "run", *asked)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


FLOODS = {
    "newlines on stdout": f"yes '' | head -c {GIB}",
    "one line without end on stderr": f"head -c {GIB} /dev/zero >&2",
    "lines of the wire on both": (
        """line='{"event":"end","took":1,"gap":0}'\n"""
        f"""yes "$line" | head -c {GIB} & yes "$line" | head -c {GIB} >&2; wait"""
    ),
}


@pytest.mark.parametrize("does", FLOODS.values(), ids=FLOODS)
@pytest.mark.skipif(sys.platform != "linux", reason="reads VmHWM of /proc")
def test_a_flood_of_a_gibibyte_is_read_to_its_end_and_costs_no_memory(
    host: Host, does: str
) -> None:
    ended = host.run(does, "distribution")
    assert ended.status == 3
    assert 0 < ended.peak < BUDGET
    cells = host.here.matrix().cells
    assert {cell.state for cell in cells} == {State.INFRASTRUCTURE}
    assert {(cell.why or "").partition(": ")[2] for cell in cells} == {
        "the agent said more than is read of it"
    }


MUCH = """\
while :; do
  set -- $line
  echo '{"event":"exit","id":"'"$1"'","status":0,"signal":0}'
  head -c 600000 /dev/zero | tr '\\0' x
  echo
  read -r line || exit 0
done
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads VmHWM of /proc")
def test_much_for_every_question_is_kept_on_disk_and_not_in_memory(host: Host) -> None:
    ended = host.run(MUCH)
    said = host.here.folder / "run" / "guests" / "hostile" / "agent.jsonl"
    assert said.stat().st_size > 80 << 20
    assert ended.status == 3
    assert 0 < ended.peak < BUDGET
    assert {cell.state for cell in host.here.matrix().cells} == {State.INFRASTRUCTURE}


CONTROLS = r"""
printf 'x\033[2J\033]0;owned\007\r\302\233<script>alert(1)</script>`id`$(id)\n' >&2
printf '\033[2J{"event":"\033"}\n<script>alert(1)</script>\n'
exit 9
"""


def test_what_a_guest_says_reaches_no_terminal_and_no_page_as_it_is(host: Host) -> None:
    ended = host.run(CONTROLS, "distribution")
    assert ended.status == 3
    assert "the agent ended with status 9: x\\x1b[2J" in ended.err
    run = host.here.folder / "run"
    shown = [(run / name).read_text() for name in ("report.html", "report.md", "junit.xml")]
    for text in (ended.out, ended.err, *shown):
        assert not {char for char in text if not char.isprintable()} - {"\n", "\t"}
    for text in shown:
        assert "<script>alert" not in text
    assert {"owned" in (cell.why or "") for cell in host.here.matrix().cells} == {True}


ASKED = [
    cell
    for cell in SHARING
    if (cell.axes["protocol"], cell.axes["family"], "peer" in cell.axes) == ("tcp", "ipv4", False)
]
"""Cells with recordings."""

Lie = Callable[[str], str]


def events(line: str) -> list[dict[str, object]]:
    return [json.loads(one) for one in reply(line).splitlines()]


def spoken(said: Sequence[object]) -> str:
    return "".join(f"{json.dumps(one)}\n" for one in said)


def with_flows(**keys: Callable[[list[int]], object]) -> Lie:
    """Return a lie about the arrays of the flows."""

    def lie(line: str) -> str:
        said = events(line)
        for event in said:
            for key, change in keys.items():
                if event["event"] == "flows":
                    array = event[key]
                    assert isinstance(array, list)
                    event[key] = change(array)
        return spoken(said)

    return lie


def with_begin(**changes: str) -> Lie:
    """Return a lie about the question."""

    def lie(line: str) -> str:
        begin, *rest = events(line)
        parameters = begin["parameters"]
        assert isinstance(parameters, dict)
        return spoken([begin | {"parameters": parameters | changes}, *rest])

    return lie


def with_events(change: Callable[[list[dict[str, object]]], list[object]]) -> Lie:
    return lambda line: spoken(change(events(line)))


def member(index: int) -> dict[str, object]:
    said = {"bind": index, "listen": index, "call": None, "error": None}
    return {"event": "member", "index": index, **said}


def renamed(line: str) -> str:
    """Answer each question under the id of the next one."""
    name, rest = line.split(" ", 1)
    return reply(f"q{int(name[1:]) + 1} {rest}") if name.startswith("q") else reply(line)


def asked_otherwise(line: str) -> str:
    """Give a complete answer, but to another question."""
    words = shlex.split(line)
    other = [{"listeners=4": "listeners=2"}.get(word, word) for word in words]
    return reply(" ".join(other if other != words else [*words, "listeners=2"]))


LIES: dict[str, Lie] = {
    "a fate too few": with_flows(fates=lambda found: found[:-1]),
    "a flow too few": with_flows(
        **dict.fromkeys(("fates", "ports", "started", "took"), lambda found: found[:-1])
    ),
    "a flow too many": with_flows(
        **dict.fromkeys(("fates", "ports", "started", "took"), lambda found: [*found, *found[-1:]])
    ),
    "a member that there is not": with_flows(fates=lambda found: [99, *found[1:]]),
    "a negative member": with_flows(fates=lambda found: [-1, *found[1:]]),
    "a negative time": with_flows(took=lambda found: [-1, *found[1:]]),
    "a port beyond all": with_flows(ports=lambda found: [65536, *found[1:]]),
    "a member more": with_events(lambda said: [*said[:-3], member(4), *said[-3:]]),
    "ten thousand members": with_events(
        lambda said: [said[0], *map(member, range(10_000)), *said[-3:]]
    ),
    "no members": with_events(lambda said: [one for one in said if one["event"] != "member"]),
    "fewer flows asked for": with_begin(flows="1"),
    "more flows asked for": with_begin(flows="20000"),
    "members without number": with_begin(listeners="9999999999"),
    "flows without number": with_begin(flows="9999999999"),
    "a negative question": with_begin(listeners="-1"),
    "it ended and goes on": with_events(lambda said: [*said[:-1], member(0), said[-1]]),
    "it ended before it began": with_events(lambda said: [*said[-2:], *said[:-2]]),
    "an answer twice": lambda line: reply(line) * 2,
    "an answer of the next question": renamed,
    "an answer to another question": asked_otherwise,
    "a status that there is not": with_events(lambda said: [*said[:-1], {**said[-1], "status": 3}]),
    "unsupported, and measured": with_events(
        lambda said: [*said[:-2], {"event": "unsupported", "why": "no"}, *said[-2:]]
    ),
    "nothing": lambda line: "",
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_lie_is_never_a_verdict(tmp_path: Path, lie: Lie) -> None:
    def answer(line: str) -> str:
        return reply(line) if line.startswith("facts ") else lie(line)

    for cell in Bench(tmp_path, FakeTransport(answer)).measure(ASKED).cells:
        assert (cell.state, cell.verdict) == (State.INFRASTRUCTURE, None)
        assert {one.state for one in cell.repeats} == {State.INFRASTRUCTURE}


def test_the_same_guest_that_does_not_lie_gets_verdicts(tmp_path: Path) -> None:
    cells = Bench(tmp_path, FakeTransport(reply)).measure(ASKED).cells
    assert {cell.state for cell in cells} == {State.MEASURED}
    assert len(cells) > 1


class Early(FakeTransport):
    """A guest that knows the catalogue: together with its facts it answers later questions."""

    def batch(self, lines: Sequence[str], into: Sink) -> None:
        """Answer everything at the first question, and nothing later."""
        if not lines[0].startswith("facts "):
            return
        super().batch(lines, into)
        for number in range(12):
            into(reply(f"q{number} distribution flows=400").encode())


def test_an_answer_before_the_question_is_none(tmp_path: Path) -> None:
    cells = Bench(tmp_path, Early()).measure().cells
    assert {cell.state for cell in cells} == {State.INFRASTRUCTURE}


class Talkative(FakeTransport):
    """A guest that goes on sending after its last answer."""

    def batch(self, lines: Sequence[str], into: Sink) -> None:
        """Answer, then send more: lines without a question, and an answer that was never asked."""
        super().batch(lines, into)
        more = reply("q99 distribution flows=400") + "\x1b[2J and so on\n" * 1000
        into(more.encode())


def test_what_comes_after_the_last_answer_is_nobodys(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    honest = Bench(tmp_path / "a", FakeTransport(reply)).measure()
    found = Bench(tmp_path / "b", Talkative()).measure()
    assert [cell.verdict for cell in found.cells] == [cell.verdict for cell in honest.cells]
    assert len(found.cells) == len(SHARING)
    said = (tmp_path / "b" / "run" / "guests" / "fake" / "agent.jsonl").read_bytes()
    assert b"and so on" not in said
