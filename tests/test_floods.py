"""Eight guests that flood at the same time, over SSH: the harness's own memory stays in budget."""

import sys
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest
from live_command import Ended, Here
from ssh_server import SshServer, run_command, serving
from sshd import write_key
from test_hostile_guest import AGENT, BUDGET

from harness.matrix import Matrix
from harness.model import State

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads VmHWM of /proc")

EIGHT = [f"hostile-{number}" for number in range(8)]

GUEST = """\
name: {name}
system: Hostile
ssh: {{host: 127.0.0.1, port: {port}, user: root, key: {key}, host_key: {host_key}}}
agent: {{path: agent}}
"""

SIZE = 16 << 20
"""Bytes of a stream; no more than the first half is kept, and the rest finds all buffers full."""

WORST = """\
import sys
_, _, *pairs = sys.argv[1:]
asked = dict(pair.split("=", 1) for pair in pairs) | {"listeners": "64", "flows": "1900"}
parameters = ",".join('"%s":"%s"' % pair for pair in asked.items())
begin = '{"event":"begin","wire":1,"id":"%s","scenario":"fallback","token":"0123456789abcdef",'
member = '{"event":"member","index":%d,"bind":0,"listen":0,"call":null,"error":null}'
arrays = '"fates":[%s],"ports":[%s],"started":[%s],"took":[%s]}'
arrays %= tuple(",".join([one] * 1900) for one in ('"E1"', "999", "999", "999"))
for name in ("q0", "q1"):
    print(begin % name + '"parameters":{' + parameters + "}}")
    for k in range(64):
        print(member % k)
    for k in range(64):
        if k:
            print('{"event":"change","what":"close","member":1,"at":1,"error":null}')
        print('{"event":"flows","phase":"%s",' % (f"left-{k}" if k else "all") + arrays)
    print('{"event":"end","took":1,"gap":0}')
    print('{"event":"exit","id":"%s","status":0,"signal":0}' % name)
"""
"""Two answers that keep every rule of the language, and take most memory for what they weigh."""

FLOODS = {
    "newlines": f"yes '' | head -c {SIZE}",
    "a torn line": f"head -c {SIZE} /dev/zero | tr '\\0' x",
    "lines of the wire on both streams": (
        """line='{"event":"end","took":1,"gap":0}'\n"""
        f"""yes "$line" | head -c {SIZE} & yes "$line" | head -c {SIZE} >&2; wait"""
    ),
    "whole answers": f"set -- $line\nexec {sys.executable} - \"$@\" << 'END'\n{WORST}END",
}


class Guests:
    """Eight machines behind one SSH server, which is in another process than the harness."""

    def __init__(self, folder: Path, server: SshServer) -> None:
        self.server = server
        self._here = Here(folder)
        self._folder = folder / "guests"
        self._folder.mkdir()
        server.user_key = write_key(folder / "key")
        host_key = f"{server.host_key.get_name()} {server.host_key.get_base64()}"
        for name in EIGHT:
            text = GUEST.format(name=name, port=server.port, key=folder / "key", host_key=host_key)
            (self._folder / f"{name}.yaml").write_text(text)

    def run(self, agent: str) -> Ended:
        (self._folder / "agent").write_text(f"{AGENT}{agent}\n")
        options = ("--guests", "guests", "--out", "run", "--jobs", "8")
        return self._here("run", *EIGHT, *options, "--scenario", "distribution", "--quick")

    def matrix(self) -> Matrix:
        return self._here.matrix()


@pytest.fixture
def guests(tmp_path: Path) -> Iterator[Guests]:
    with serving() as server:
        yield Guests(tmp_path, server)


@pytest.mark.parametrize("does", FLOODS.values(), ids=FLOODS)
def test_eight_guests_that_flood_at_once_cost_no_memory(guests: Guests, does: str) -> None:
    ended = guests.run(does)
    assert ended.status == 3
    assert 0 < ended.peak < BUDGET
    cells = guests.matrix().cells
    assert {cell.guest for cell in cells} == {*EIGHT}
    assert {cell.state for cell in cells} == {State.INFRASTRUCTURE}


def flood(channel: paramiko.Channel, command: bytes) -> None:
    """Do something else than what was asked, but for what tidies up when the harness is gone."""
    if b"echo begun" in command:
        run_command(channel, command)
    run_command(channel, f"yes '' | head -c {SIZE} & yes '' | head -c {SIZE} >&2; wait".encode())


def test_eight_guests_that_flood_whatever_they_are_told_cost_no_memory(guests: Guests) -> None:
    guests.server.execute = flood
    ended = guests.run("exit 1")
    assert ended.status == 3
    assert 0 < ended.peak < BUDGET
    assert {cell.state for cell in guests.matrix().cells} == {State.INFRASTRUCTURE}
