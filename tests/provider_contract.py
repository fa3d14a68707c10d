"""The tests that every transport and every provider must pass; test classes inherit them."""

import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress

import psutil
import pytest
from msgspec.structs import replace
from owned import processes_of

from harness.deadline import Cancellation, Deadline
from harness.errors import (
    CommandTimeoutError,
    GuestLostError,
    HarnessError,
    InfrastructureError,
    NotRunError,
    UsageError,
)
from harness.machine.places import Places
from harness.model import Guest
from harness.protocols import COMPLAINT, Provider, Transport
from harness.transport.shell import CAP, KEPT

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
    "100%",
    "%s \\045 %n!",
    "\u00fc\u4e16",
    "\x01\x7f",
)

SOON = 30.0


class TransportContract:
    """The tests use the fixtures `transport`, and `folder`, a folder in the guest."""

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
        said = bytearray()
        transport.run(["cat"], stdin=content, timeout=SOON, into=said.extend)
        assert said == content

    def test_input_larger_than_any_window_does_not_deadlock(self, transport: Transport) -> None:
        content = os.urandom(6 << 20)
        said = bytearray()
        transport.run(["cat"], stdin=content, timeout=SOON, into=said.extend)
        assert said == content

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
        assert (len(done.stdout), len(done.stderr)) == (KEPT, KEPT)
        assert re.fullmatch(b"(out\n)+", done.stdout)

    def test_of_what_somebody_takes_more_is_read_and_nothing_kept(
        self, transport: Transport
    ) -> None:
        said = bytearray()
        flood = "yes out | head -c 20000000"
        done = transport.run(["sh", "-c", flood], timeout=60, into=said.extend)
        assert done.truncated
        assert done.stdout == b""
        assert said == b"out\n" * (CAP // 4)

    def test_output_of_just_the_cap_is_not_truncated(self, transport: Transport) -> None:
        said = bytearray()
        done = transport.run(["sh", "-c", f"yes | head -c {CAP}"], timeout=60, into=said.extend)
        assert len(said) == CAP
        assert not done.truncated
        assert not transport.run(["sh", "-c", f"yes | head -c {KEPT}"], timeout=60).truncated

    def test_a_timeout_is_kept_and_brings_what_was_said(self, transport: Transport) -> None:
        began = time.monotonic()
        said = bytearray()
        with pytest.raises(CommandTimeoutError):
            transport.run(["sh", "-c", "echo said; exec sleep 60"], timeout=1, into=said.extend)
        assert time.monotonic() - began < 3
        assert said == b"said\n"

    def test_a_silence_is_noticed_long_before_the_timeout(self, transport: Transport) -> None:
        began = time.monotonic()
        with pytest.raises(CommandTimeoutError, match="said nothing for 1 s"):
            transport.run(["sh", "-c", "echo said; exec sleep 60"], timeout=50, silence=1)
        assert time.monotonic() - began < 4

    def test_who_goes_on_speaking_is_not_silent(self, transport: Transport) -> None:
        speak = "for i in 1 2 3 4; do sleep 0.5; echo $i; done"
        done = transport.run(["sh", "-c", speak], timeout=SOON, silence=1.5)
        assert done.stdout == b"1\n2\n3\n4\n"

    def test_a_flood_without_end_is_ended_by_the_timeout(self, transport: Transport) -> None:
        began = time.monotonic()
        said = bytearray()
        with pytest.raises(CommandTimeoutError):
            transport.run(["yes"], timeout=1, into=said.extend)
        assert time.monotonic() - began < 4
        assert 0 < len(said) <= CAP

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
        said = bytearray()
        transport.run(["cat", f"{folder}/a file"], timeout=SOON, into=said.extend)
        assert said == content
        assert transport.run(["ls", "-l", f"{folder}/a file"], timeout=SOON).stdout.startswith(
            b"-rw-------"
        )
        assert transport.run(["ls", folder], timeout=SOON).stdout == b"a file\n"

    def test_a_push_that_fails_says_why_in_a_sentence(
        self, transport: Transport, folder: str
    ) -> None:
        with pytest.raises(InfrastructureError, match="cannot write") as caught:
            transport.push(b"x", f"{folder}/{'n' * 250}/x", timeout=SOON)
        assert len(str(caught.value)) < 2 * COMPLAINT

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


def left_of(places: Places) -> list[str]:
    """Return what guests left on this machine: leases, folders, processes that name them."""
    found = [*map(str, places.state.glob("leases/*")), *map(str, places.state.glob("guests/*"))]
    for process in processes_of(places.state):
        with suppress(psutil.Error):
            found.append(" ".join(process.cmdline()))
    return found


class OnPurpose(Exception):  # noqa: N818 - no real error
    """Raised on purpose in a block that holds a guest."""


class ProviderContract:
    """The tests use the fixtures `provider`, `guest`, which it can boot here, and `left`, which
    returns what guests left behind, here and where they ran.

    `boot` is the limit of a boot in seconds, `soon` of anything without a boot.
    """

    boot = 60.0
    soon = 15.0

    def refused(self, guest: Guest) -> Guest:
        """Return a guest without a section for the provider."""
        return replace(guest, host=None, gvisor=None, qemu=None, vagrant=None, ssh=None)

    def test_a_guest_without_its_section_is_refused_in_a_sentence(
        self, provider: Provider, guest: Guest, left: Callable[[], Sequence[str]]
    ) -> None:
        other = self.refused(guest)
        said(provider.refusal(other))
        with pytest.raises(NotRunError) as caught, provider.boot(other, Deadline(self.boot)):
            pass
        said(str(caught.value))
        assert not left()

    def test_what_it_can_boot_is_not_refused(self, provider: Provider, guest: Guest) -> None:
        assert provider.refusal(guest) is None
        needed = provider.download(guest)
        assert needed is None or said(needed)

    def test_a_guest_runs_commands_says_how_it_was_made_and_is_gone(
        self, provider: Provider, guest: Guest, left: Callable[[], Sequence[str]]
    ) -> None:
        with provider.boot(guest, Deadline(self.boot)) as transport:
            done = transport.run(["uname", "-s"], timeout=self.soon)
            assert (done.status, done.stderr) == (0, b"")
            assert re.fullmatch(rb"[A-Za-z]+\n", done.stdout)
            assert {"provider", "accelerator", "cpus"} <= transport.provenance.keys()
            assert float(transport.provenance["slow_factor"]) >= 1
            assert transport.folders
        with pytest.raises(GuestLostError):
            transport.run(["uname", "-s"], timeout=self.soon)
        assert not left()

    def test_an_exception_passes_through_and_takes_the_guest_away(
        self, provider: Provider, guest: Guest, left: Callable[[], Sequence[str]]
    ) -> None:
        with pytest.raises(OnPurpose), provider.boot(guest, Deadline(self.boot)):
            raise OnPurpose
        assert not left()

    def test_a_transport_that_was_closed_leaves_nothing_either(
        self, provider: Provider, guest: Guest, left: Callable[[], Sequence[str]]
    ) -> None:
        with provider.boot(guest, Deadline(self.boot)) as transport:
            transport.close()
        assert not left()

    def test_a_cancellation_ends_a_boot(
        self, provider: Provider, guest: Guest, left: Callable[[], Sequence[str]]
    ) -> None:
        """A provider that boots nothing may finish before it is cancelled."""
        cancellation = Cancellation()
        timer = threading.Timer(0.1, cancellation.say)
        timer.start()
        began = time.monotonic()
        with suppress(HarnessError), provider.boot(guest, Deadline(self.boot, cancellation)):
            pass
        assert time.monotonic() - began < self.soon
        timer.cancel()
        assert not left()

    def test_two_at_once_do_not_meet(
        self, provider: Provider, guest: Guest, left: Callable[[], Sequence[str]]
    ) -> None:
        with ExitStack() as stack:
            both = [stack.enter_context(provider.boot(guest, Deadline(self.boot))) for _ in "ab"]
            for transport in both:
                assert transport.run(["uname", "-s"], timeout=self.soon).status == 0
            both[0].close()
            assert both[1].run(["uname", "-s"], timeout=self.soon).status == 0
        assert not left()

    def test_a_passed_deadline_is_told_soon(
        self, provider: Provider, guest: Guest, left: Callable[[], Sequence[str]]
    ) -> None:
        began = time.monotonic()
        with pytest.raises(InfrastructureError), provider.boot(guest, Deadline(0)):
            pass
        assert time.monotonic() - began < self.soon
        assert not left()


def said(sentence: str | None) -> bool:
    """Check that the text is a readable message: one line, no traceback."""
    assert sentence
    assert "\n" not in sentence
    assert "Traceback" not in sentence
    return True
