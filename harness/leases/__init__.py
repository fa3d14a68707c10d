"""Every guest that may exist, written down before it starts; what no living run owns is ended.

So is what outlives its time, whoever owns it.
"""

from harness.leases.ending import NAME_OPTION, end
from harness.leases.garbage import gc, kept, stop
from harness.leases.lease import LIFE, Lease, Login, Undo, leases
from harness.leases.parking import discard, parked
from harness.leases.tenancy import Tenancy, hold, taken

__all__ = [
    "LIFE",
    "NAME_OPTION",
    "Lease",
    "Login",
    "Tenancy",
    "Undo",
    "discard",
    "end",
    "gc",
    "hold",
    "kept",
    "leases",
    "parked",
    "stop",
    "taken",
]
