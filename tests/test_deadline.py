"""Deadlines nest, and one word ends them all."""

import threading
import time

from harness.deadline import Cancellation, Deadline


def test_an_inner_deadline_never_outlives_the_outer() -> None:
    assert Deadline(5).within(60).left() <= 5


def test_the_word_ends_every_deadline_and_calls_every_hook_once() -> None:
    cancellation = Cancellation()
    deadline = Deadline(60, cancellation).within(30)
    called = []
    with cancellation.hooked(lambda: called.append("hook")):
        assert deadline.left() > 0
        cancellation.say()
        cancellation.say()
    assert deadline.passed
    assert deadline.cancelled
    assert called == ["hook"]


def test_a_hook_that_comes_too_late_is_called_at_once() -> None:
    cancellation = Cancellation()
    cancellation.say()
    heard = threading.Event()
    with cancellation.hooked(heard.set):
        assert heard.is_set()


def test_a_hook_is_forgotten_with_its_block() -> None:
    cancellation = Cancellation()
    heard = threading.Event()
    with cancellation.hooked(heard.set):
        pass
    cancellation.say()
    assert not heard.is_set()


def test_a_deadline_begun_afresh_still_hears_the_word() -> None:
    cancellation = Cancellation()
    spent = Deadline(0.0, cancellation)
    fresh = spent.afresh(60)
    assert (spent.passed, fresh.passed) == (True, False)
    cancellation.say()
    assert fresh.passed


def test_a_silence_ends_before_its_time_and_a_word_begins_it_anew() -> None:
    deadline = Deadline(60, silence=0.05)
    time.sleep(0.06)
    assert (deadline.passed, deadline.missed) == (True, "said nothing for 0.05 s")
    deadline.heard()
    assert not deadline.passed
    spent = Deadline(0.0, silence=60)
    spent.heard()
    assert (spent.passed, spent.missed) == (True, "did not end within 0 s")
