"""Set-up for every test session."""

import signal


def pytest_configure() -> None:
    """Restore signals that are ignored because pytest was started with nohup or a shell's `&`.

    Ignored signals are inherited (execve(2)), and a `run` deliberately keeps them ignored. Tests
    that interrupt a run would then wait for ever.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            ours = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, ours)
