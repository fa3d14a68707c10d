"""Leases: a record of every guest, written before the guest starts, so that no guest is leaked.

A guest is ended if its owner no longer runs, or if its time is over, even if its owner still runs.
"""

from harness.leases.ending import NAME_OPTION, NAME_VARIABLE, end
from harness.leases.garbage import Unended, gc, kept, stop, unended
from harness.leases.lease import LIFE, Lease, Login, Undo, damaged, leases
from harness.leases.parking import discard, parked
from harness.leases.tenancy import Tenancy, hold, taken

__all__ = [
    "LIFE",
    "NAME_OPTION",
    "NAME_VARIABLE",
    "Lease",
    "Login",
    "Tenancy",
    "Undo",
    "Unended",
    "damaged",
    "discard",
    "end",
    "gc",
    "hold",
    "kept",
    "leases",
    "parked",
    "stop",
    "taken",
    "unended",
]
