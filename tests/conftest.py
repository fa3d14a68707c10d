"""What every test session needs before its first test."""

import signal


def pytest_configure() -> None:
    """Listen to signals again where whoever started us had them ignored (nohup, a shell's `&`).

    What is ignored stays ignored in a `run`, on purpose, and is inherited (execve(2)): the tests
    that interrupt one would wait in vain.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            ours = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, ours)
