"""The pytest fixture `guest`: runs your tests on real kernels, with one boot per guest and worker.

Every pytest in the same environment loads this module, so it imports the harness only when a test
uses the fixture.
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
"""The guest without `--guest`: this machine's own kernel, which needs no installation."""

BOOTED = "booted_guest"
"""The fixture that is parametrised. `guest` gives each test a fresh folder in the booted guest."""

MARKER = "guests(name, ...): run the test only on these guests or systems"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("reuseport-matrix", "guests (reuseport-matrix)")
    group.addoption(
        "--guest",
        action="append",
        default=[],
        metavar="NAME",
        help="Run tests that use `guest` on this guest or system, or on `available` or `all`; may "
        f"be given more than once (default: {DEFAULT}).",
    )
    group.addoption(
        "--guests-dir", action="append", default=[], metavar="DIR", help="A folder of guest files."
    )
    group.addoption("--guest-provider", metavar="P", help="Use only this provider.")
    group.addoption("--guest-cold", action="store_true", help="Boot guests even if kept warm.")
    group.addoption(
        "--guest-required",
        action="store_true",
        help="Fail a test, instead of skipping it, if its guest cannot be started here.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker; report an unknown guest before any test is collected."""
    config.addinivalue_line("markers", MARKER)
    if config.getoption("--guest"):
        _chosen(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once on each requested guest that its marker allows."""
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
    """Return the requested guests; raise `pytest.UsageError` for an unknown name."""
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
    """Boot a guest, and end it after the last test that uses it."""
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
    """A live guest with an empty folder for this test, which is removed afterwards."""
    with booted_guest.fresh() as live:
        yield live


class _Log(Protocol):
    """The log of xdist, which is passed on to its scheduler."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: _Log) -> object | None:
    """Keep a guest's tests on one worker with `--dist loadgroup`.

    pytest-xdist 3.8 appends the group to the test's id, but pytest 9.2 drops it: the tests of a
    group were spread over all workers, and each worker booted each guest. Here the guest's name in
    the test's id decides. xdist handles all other groups.
    """
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadGroupScheduling

    asked = config.getoption("--guest")
    names = sorted([one.name for one in _chosen(config)] if asked else [DEFAULT], key=len)[::-1]
    ids = [(name, re.compile(rf"[\[-]{re.escape(name)}[\]-]")) for name in names]

    class GuestScheduling(LoadGroupScheduling):
        """Treats all tests of a guest as one group."""

        def _split_scope(self, nodeid: str) -> str:
            found = next((f"guest-{name}" for name, own in ids if own.search(nodeid)), None)
            return found or super()._split_scope(nodeid)

    return GuestScheduling(config, log)
