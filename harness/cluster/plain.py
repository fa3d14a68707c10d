"""Keeps this process from unpickling anything but plain data, whoever asks it to.

Dask unpickles what comes from a scheduler in several places, whatever `deserializers` a client has:
errors of a task, the type of a result, warnings. A pickle can only do harm through a class or a
function that it names, and Python reports each lookup of one (the audit event `pickle.find_class`).
"""

import pickle  # nosec B403  # to name the error that its users expect
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Guard:
    """An audit hook (PEP 578). It stays for as long as the process, and is on while somebody is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._hooked = False

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "pickle.find_class" and self._users:
            raise pickle.UnpicklingError(f"only plain data is unpickled here, not {arguments!r}")

    def enter(self) -> None:
        with self._lock:
            if not self._hooked:
                sys.addaudithook(self)
                self._hooked = True
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1


_GUARD = _Guard()


@contextmanager
def only_plain_pickles() -> Iterator[None]:
    """Raise `UnpicklingError` in any thread that unpickles more than plain data in this block."""
    _GUARD.enter()
    try:
        yield
    finally:
        _GUARD.leave()
