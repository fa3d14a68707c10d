"""The run folder: keeps the answers of guests before they are judged, and judges them later."""

from harness.store.folder import (
    JOURNAL,
    GuestRecord,
    Store,
    console_of,
    lines_of,
    make_folder,
    replace,
)
from harness.store.journal import Asked, Failure, GuestMet, GuestMissed, Line, RunBegun
from harness.store.judging import NEVER_ASKED, judge_folder, judged
from harness.store.keeping import keep
from harness.store.recordings import recordings_of

__all__ = [
    "JOURNAL",
    "NEVER_ASKED",
    "Asked",
    "Failure",
    "GuestMet",
    "GuestMissed",
    "GuestRecord",
    "Line",
    "RunBegun",
    "Store",
    "console_of",
    "judge_folder",
    "judged",
    "keep",
    "lines_of",
    "make_folder",
    "recordings_of",
    "replace",
]
