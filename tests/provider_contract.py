"""What every transport keeps, whatever guest is behind it; test classes inherit this."""

import os
import re
import threading
import time

import pytest

from harness.errors import CommandTimeoutError, InfrastructureError, UsageError
from harness.protocols import Transport
from harness.transport.shell import CAP

HOSTILE = (
    "",
    " ",
    "a b",
    "*",
    "~",
    "$HOME",
    "`id`",
    "$(id)",
    "'",
    '"',
    "'; exit 9; '",
    "\\",
    "\\'",
    "!",
    "wow!!",
    "a'!'b",
    "-n",
    "--",
    "a=b",
    "a;b",
    "&",
    "|",
    ">",
    "#",
    "\t",
    "\n",
    "two\nlines",
    "\u00fc\u4e16",
    "\x01\x7f",
)

SOON = 30.0


class TransportContract:
    """Every test takes the fixture `transport`, and `folder`, a folder of the guest's."""

    def test_a_missing_command_has_status_127(self, transport: Transport) -> None:
        done = transport.run(["no-such-command-anywhere"], timeout=SOON)
        assert done.status == 127
        assert b"not found" in done.stderr

    def test_both_streams_come_back_apart(self, transport: Transport) -> None:
        done = transport.run(["sh", "-c", "echo out; echo err >&2"], timeout=SOON)
        assert (done.status, done.stdout, done.stderr) == (0, b"out\n", b"err\n")
        assert not done.truncated

    def test_every_exit_status_comes_back(self, transport: Transport) -> None:
        for status in (0, 1, 2, 64, 77, 99, 126, 127, 128, 137, 254, 255):
            assert transport.run(["sh", "-c", f"exit {status}"], timeout=SOON).status == status

    def test_a_command_ended_by_a_signal_has_status_128_and_more(
        self, transport: Transport
    ) -> None:
        assert transport.run(["sh", "-c", "kill -9 $$"], timeout=SOON).status == 137
        assert transport.run(["sh", "-c", "kill -15 $$"], timeout=SOON).status == 143

    def test_input_comes_back_bit_by_bit(self, transport: Transport) -> None:
        content = bytes(range(256)) * 64
        assert transport.run(["cat"], stdin=content, timeout=SOON).stdout == content

    def test_input_larger_than_any_window_does_not_deadlock(self, transport: Transport) -> None:
        content = os.urandom(6 << 20)
        assert transport.run(["cat"], stdin=content, timeout=SOON).stdout == content

    def test_input_that_nobody_reads_does_no_harm(self, transport: Transport) -> None:
        assert (
            transport.run(["sh", "-c", "exit 3"], stdin=b"x" * (4 << 20), timeout=SOON).status == 3
        )

    def test_without_input_a_command_reads_its_end_at_once(self, transport: Transport) -> None:
        assert transport.run(["cat"], timeout=SOON).stdout == b""

    def test_arguments_arrive_as_they_are(self, transport: Transport) -> None:
        done = transport.run(["printf", "%s\\0", *HOSTILE], timeout=SOON)
        assert done.stdout.decode().split("\0")[:-1] == list(HOSTILE)

    def test_an_argument_with_a_nul_byte_is_refused(self, transport: Transport) -> None:
        with pytest.raises(UsageError, match="NUL"):
            transport.run(["echo", "a\0b"], timeout=SOON)

    def test_a_flood_on_both_streams_is_capped_and_said_so(self, transport: Transport) -> None:
        flood = "yes out | head -c 20000000 & yes err | head -c 20000000 >&2; wait"
        done = transport.run(["sh", "-c", flood], timeout=60)
        assert done.status == 0
        assert done.truncated
        assert len(done.stdout) == len(done.stderr) == CAP
        assert re.fullmatch(b"(out\n)+", done.stdout)

    def test_output_of_just_the_cap_is_not_truncated(self, transport: Transport) -> None:
        done = transport.run(["sh", "-c", f"yes | head -c {CAP}"], timeout=60)
        assert len(done.stdout) == CAP
        assert not done.truncated

    def test_a_timeout_is_kept_and_brings_what_was_said(self, transport: Transport) -> None:
        began = time.monotonic()
        with pytest.raises(CommandTimeoutError) as caught:
            transport.run(["sh", "-c", "echo said; exec sleep 60"], timeout=1)
        assert time.monotonic() - began < 3
        assert caught.value.partial == b"said\n"

    def test_a_flood_without_end_is_ended_by_the_timeout(self, transport: Transport) -> None:
        began = time.monotonic()
        with pytest.raises(CommandTimeoutError) as caught:
            transport.run(["yes"], timeout=1)
        assert time.monotonic() - began < 4
        assert 0 < len(caught.value.partial) <= CAP

    def test_a_guest_is_well_after_a_timeout(self, transport: Transport) -> None:
        with pytest.raises(CommandTimeoutError):
            transport.run(["sleep", "60"], timeout=0.2)
        assert transport.run(["echo", "well"], timeout=SOON).stdout == b"well\n"

    def test_several_threads_run_at_once(self, transport: Transport) -> None:
        said: dict[int, bytes] = {}

        def ask(number: int) -> None:
            said[number] = transport.run(["echo", str(number)], timeout=SOON).stdout

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert said == {number: b"%d\n" % number for number in range(6)}

    def test_a_pushed_file_is_whole_and_private(self, transport: Transport, folder: str) -> None:
        content = os.urandom(3 << 20)
        transport.push(content, f"{folder}/a file", timeout=SOON)
        assert transport.run(["cat", f"{folder}/a file"], timeout=SOON).stdout == content
        assert transport.run(["ls", "-l", f"{folder}/a file"], timeout=SOON).stdout.startswith(
            b"-rw-------"
        )
        assert transport.run(["ls", folder], timeout=SOON).stdout == b"a file\n"

    def test_a_pushed_program_runs(self, transport: Transport, folder: str) -> None:
        transport.push(b"#!/bin/sh\necho ran\n", f"{folder}/p", executable=True, timeout=SOON)
        assert transport.run([f"{folder}/p"], timeout=SOON).stdout == b"ran\n"

    def test_a_push_replaces_a_file_that_runs(self, transport: Transport, folder: str) -> None:
        for word in ("old", "new"):
            program = f"#!/bin/sh\necho {word}\n".encode()
            transport.push(program, f"{folder}/p", executable=True, timeout=SOON)
        assert transport.run([f"{folder}/p"], timeout=SOON).stdout == b"new\n"

    def test_a_push_that_cannot_be_says_why(self, transport: Transport, folder: str) -> None:
        with pytest.raises(InfrastructureError, match="cannot write"):
            transport.push(b"x", f"{folder}/no/such/folder", timeout=SOON)
