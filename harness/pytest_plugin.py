"""Fixture `guest`: somebody else's tests on real kernels, a boot for each guest and worker.

Loaded into every pytest of its environment, so it imports nothing of ours until a test asks.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from harness.model import Guest
    from harness.run.live_guest import Booted, LiveGuest

DEFAULT = "host"
"""The guest if none is asked for: this machine's own kernel, which needs nothing."""

BOOTED = "booted_guest"
"""The fixture that is parametrised; `guest` is a fresh folder in what it boots."""

MARKER = "guests(name, ...): run the test on these guests, or systems, only"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("reuseport-matrix", "guests (reuseport-matrix)")
    group.addoption(
        "--guest",
        action="append",
        default=[],
        metavar="NAME",
        help="Run tests with a `guest` on it: a guest, a system, `available` or `all`; may be "
        f"given more than once (default: {DEFAULT}).",
    )
    group.addoption(
        "--guests-dir", action="append", default=[], metavar="DIR", help="A folder of guest files."
    )
    group.addoption("--guest-provider", metavar="P", help="Let this provider start them only.")
    group.addoption("--guest-cold", action="store_true", help="Boot guests that are kept warm.")
    group.addoption(
        "--guest-required",
        action="store_true",
        help="Fail, not skip, where a guest cannot be started here.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known; refuse a guest's name that is none before anything is collected."""
    config.addinivalue_line("markers", MARKER)
    if config.getoption("--guest"):
        _chosen(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once on each guest that was asked for and that its marker allows."""
    if BOOTED not in metafunc.fixturenames:
        return
    chosen = _chosen(metafunc.config)
    wanted = {
        str(name) for mark in metafunc.definition.iter_markers("guests") for name in mark.args
    }
    fitting = [guest for guest in chosen if not wanted or wanted & {guest.name, _system(guest)}]
    params = [pytest.param(one, id=one.name) for one in fitting]
    if not params:
        asked = " ".join(guest.name for guest in chosen)
        reason = f"for {' '.join(sorted(wanted))}; asked for: {asked}"
        params = [pytest.param(None, id="none", marks=pytest.mark.skip(reason=reason))]
    metafunc.parametrize(BOOTED, params, indirect=True, scope="session")


def _system(guest: "Guest") -> str:
    return guest.system.lower()


CHOSEN = pytest.StashKey[tuple["Guest", ...]]()


def _chosen(config: pytest.Config) -> tuple["Guest", ...]:
    """Return the guests that were asked for; raise a usage error for what is none."""
    if CHOSEN not in config.stash:
        from harness.errors import HarnessError
        from harness.run.live_guest import chosen

        try:
            found = chosen(
                config.getoption("--guest") or [DEFAULT],
                config.getoption("--guests-dir"),
                config.getoption("--guest-provider"),
            )
        except HarnessError as exc:
            hint = f" ({exc.hint})" if exc.hint else ""
            raise pytest.UsageError(f"--guest: {exc}{hint}") from exc
        config.stash[CHOSEN] = found
    return config.stash[CHOSEN]


@pytest.fixture(scope="session", name=BOOTED)
def booted_guest(request: pytest.FixtureRequest) -> Iterator["Booted"]:
    """Boot a guest; it ends with the last test on it."""
    from harness.errors import HarnessError, InfrastructureError, NotRunError
    from harness.run.live_guest import booted

    guest = request.param
    with ExitStack() as stack:
        try:
            provider = request.config.getoption("--guest-provider")
            cold = request.config.getoption("--guest-cold")
            live = stack.enter_context(booted(guest, provider, cold=cold))
        except NotRunError as exc:
            reason = f"{guest.name} cannot be started here: {exc}"
            if request.config.getoption("--guest-required"):
                pytest.fail(f"{reason} ({exc.hint})" if exc.hint else reason, pytrace=False)
            pytest.skip(reason)
        except HarnessError as exc:
            console = exc.console if isinstance(exc, InfrastructureError) else ""
            said = f"{guest.name} did not come up: {exc}\n{console}".rstrip()
            pytest.fail(said, pytrace=False)
        yield live


@pytest.fixture
def guest(booted_guest: "Booted") -> Iterator["LiveGuest"]:
    """A live guest with an empty folder of the test's own, which goes with what runs in it."""
    with booted_guest.fresh() as live:
        yield live


class _Log(Protocol):
    """xdist's own log, which it hands on."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: _Log) -> object | None:
    """Keep a guest's tests on one worker with `--dist loadgroup`.

    pytest-xdist 3.8 appends the group to a test's id for that, which pytest 9.2 does not keep: the
    tests of a group were spread, and each worker booted each guest. Here the guest's name in the
    test's own id decides; other groups are xdist's.
    """
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadGroupScheduling

    asked = config.getoption("--guest")
    names = sorted([one.name for one in _chosen(config)] if asked else [DEFAULT], key=len)[::-1]
    ids = [(name, re.compile(rf"[\[-]{re.escape(name)}[\]-]")) for name in names]

    class GuestScheduling(LoadGroupScheduling):
        """A guest's tests are one piece of work."""

        def _split_scope(self, nodeid: str) -> str:
            found = next((f"guest-{name}" for name, own in ids if own.search(nodeid)), None)
            return found or super()._split_scope(nodeid)

    return GuestScheduling(config, log)
