"""What we do for Vagrant in libvirt: the network, a lock for a box's first use, the clean-up.

vagrant-libvirt 0.11 locks only within one process. If two `vagrant up` run at once, and both find
no network, or no image of the box in the pool, both create it and one fails. It may also leave
behind what it made for a guest, if other guests run or the guest is killed half-way.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from harness import clocks
from harness.deadline import Deadline
from harness.errors import BootError
from harness.leases import Undo
from harness.machine.lock import locked
from harness.machine.places import NAME, Places
from harness.machine.process import ToolTimeoutError, execute
from harness.model import Box
from harness.protocols import Completed
from harness.providers.vagrant import boxes

PROGRAM = "virsh"

SOCKETS = ("/run/libvirt/libvirt-sock", "/run/libvirt/virtqemud-sock")
"""Socket of libvirtd, or of virtqemud where each hypervisor has its own daemon."""

POOL = "default"
"""vagrant-libvirt's default storage_pool_name."""

SUBNETS = range(130, 150)
"""Third bytes to try for our network: libvirt's own uses 122, vagrant-libvirt's 121."""

NETWORK = """<network><name>{name}</name><forward mode='nat'/><bridge stp='off'/>
<ip address='192.168.{byte}.1' netmask='255.255.255.0'><dhcp>
<range start='192.168.{byte}.2' end='192.168.{byte}.254'/></dhcp></ip></network>
"""
"""We turn off the spanning tree protocol, libvirt's default: the network has no loops, and with it
the bridge forwards nothing in a guest's first four seconds."""

VIRSH = 'virsh() { command virsh --quiet --connect "$URI" "$@"; }'

MAC = """mac=$(virsh domiflist "$1" | grep -io -m 1 '[0-9a-f:]\\{17\\}')"""

RESERVE = f"""{VIRSH}
{MAC}
virsh net-update "$2" add ip-dhcp-host "<host mac='$mac' ip='$3'/>" --live --config
"""
"""Reserves a guest's address; otherwise another guest may get it an hour after its last use."""

OFF = f"""{VIRSH}
{{ {MAC}
  for where in --live --config; do
    virsh net-update "$2" delete ip-dhcp-host "<host mac='$mac'/>" $where
  done
  virsh destroy "$1"; }} >/dev/null 2>&1
:
"""
"""Frees the address and powers the guest off. If a guest runs and dnsmasq has forgotten its
address, every command of vagrant-libvirt waits half a minute for it."""

SWEEP = f"""{VIRSH}
virsh version >/dev/null || exit 1
{{ virsh destroy "$1"; virsh undefine --managed-save --snapshots-metadata --nvram "$1" ||
  virsh undefine "$1"; virsh vol-delete --pool "$2" "$1.img"; }} >/dev/null 2>&1
! virsh domstate "$1" >/dev/null 2>&1 && ! virsh vol-info --pool "$2" "$1.img" >/dev/null 2>&1
"""
"""Succeeds if and only if neither the domain nor its volume exists afterwards."""

CLEAR = f"""{VIRSH}
connections=$(virsh net-dumpxml "$1" 2>/dev/null | grep "<network.* connections=")
[ -n "$connections" ] || {{
  virsh net-destroy "$1"
  virsh net-dumpxml --inactive "$1" | grep -q "<host " || virsh net-undefine "$1"
}} >/dev/null 2>&1
:
"""
"""Stops the network if no guest is on it; removes it only if it has no reserved addresses."""

FORGET = f"""{VIRSH}
virsh vol-delete --pool "$2" "$1" >/dev/null 2>&1; :
"""


def refusal() -> str | None:
    """Return why libvirt cannot make guests on this machine; None if it can."""
    if shutil.which(PROGRAM) is None:
        return f"{PROGRAM} not found: `reuseport-matrix doctor --install --with vagrant`"
    if "LIBVIRT_DEFAULT_URI" not in os.environ and not any(Path(one).exists() for one in SOCKETS):
        return "libvirt's daemon is not running: `systemctl start libvirtd`"
    return None


def uri() -> str:
    """Return libvirt's URI, chosen as vagrant-libvirt does."""
    return os.environ.get("LIBVIRT_DEFAULT_URI", "qemu:///system")


class Ground:
    """What the guests of one state folder share in libvirt: a network, and its locks."""

    def __init__(self, places: Places) -> None:
        self._folder = places.folder("vagrant")
        token = hashlib.sha256(os.fsencode(places.state)).hexdigest()[:8]
        self.network = f"{NAME}-{token}"
        self._users = self._folder / f"{self.network}.lock"

    def undo(self, domain: str) -> tuple[Undo, Undo, Undo]:
        """Return three steps: power the guest off, remove it, remove the network if unused."""
        off = ("sh", "-c", OFF, "off", domain, self.network)
        sweep = ("sh", "-c", SWEEP, "sweep", domain, POOL)
        return (
            Undo(off, clocks.LIBVIRT, _environment(), decisive=False),
            Undo(sweep, clocks.LIBVIRT, _environment()),
            Undo(self._clear(), clocks.LIBVIRT, _environment(), decisive=False),
        )

    def _clear(self) -> tuple[str, ...]:
        # flock(1) conflicts with the lock of `used`, so nothing is removed while a guest is up.
        lock = ("flock", "--timeout", "0.5", "--conflict-exit-code", "0", str(self._users))
        return (*lock, "sh", "-c", CLEAR, "clear", self.network)

    @contextmanager
    def used(self, deadline: Deadline) -> Iterator[str]:
        """Yield our network's subnet; the network stays up while the block runs."""
        try:
            with _shared(self._users):
                with _locked(self._folder / f"{self.network}.made.lock", deadline):
                    address = self._made(deadline)
                yield address
        finally:  # a guest that is parked now does not need it
            with suppress(ToolTimeoutError):
                execute(self._clear(), Deadline(clocks.LIBVIRT), environment=_environment())

    def _made(self, deadline: Deadline) -> str:
        there = virsh(deadline, "net-dumpxml", self.network)
        if there.status == 0:
            virsh(deadline, "net-start", self.network)  # fails if it is up already
            if self.network in virsh(deadline, "net-list", "--name").stdout.decode().split():
                return _subnet(there.stdout.decode())
            # Another network has its addresses now, so its parked guests cannot be reached again.
            virsh(deadline, "net-undefine", self.network)
        said = there
        for byte in SUBNETS:
            file = self._folder / f"{self.network}.xml"
            file.write_text(NETWORK.format(name=self.network, byte=byte), "utf-8")
            virsh(deadline, "net-define", str(file))
            said = virsh(deadline, "net-start", self.network)
            if said.status == 0:
                return f"192.168.{byte}.0/24"
            virsh(deadline, "net-undefine", self.network)
        why = said.stderr.decode(errors="replace").strip()
        hint = "does `virsh net-start default` work? it needs `iptables` and `dnsmasq`"
        raise BootError(f"libvirt cannot make a network: {why}", hint=hint)

    def reserve(self, domain: str, address: str, deadline: Deadline) -> None:
        """Reserve a guest's address until its `undo`; raise `BootError`."""
        argv = ("sh", "-c", RESERVE, "reserve", domain, self.network, address)
        _well(_executed(argv, "net-update", deadline), "net-update")

    @contextmanager
    def box_ready(self, box: Box, version: str | None, deadline: Deadline) -> Iterator[Undo | None]:
        """Hold a lock while a box's image is copied into the pool, if it is not there yet.

        Yield the command that removes a half-copied image; None if the image is complete.
        """
        volume = volume_of(box.box, version)
        if volume is not None and _is_there(volume, deadline):
            yield None
            return
        with _locked(self._folder / f"{box.box.replace('/', '_')}.box.lock", deadline):
            if volume is None or _is_there(volume, deadline):
                yield None
                return
            argv = ("sh", "-c", FORGET, "forget", volume, POOL)
            yield Undo(argv, clocks.LIBVIRT, _environment())


def volume_of(box: str, version: str | None) -> str | None:
    """Return the name of a box's image in the pool (action/handle_box_image.rb)."""
    if version is None:
        return None
    return f"{box.replace('/', boxes.SLASH)}_vagrant_box_image_{version}_box.img"


def virsh(deadline: Deadline, *words: str) -> Completed:
    """Run a virsh command; raise `BootError` if it does not end in time."""
    return _executed((PROGRAM, "--connect", uri(), *words), words[0], deadline)


def do(deadline: Deadline, *words: str) -> None:
    """Run a virsh command; raise `BootError` if it fails."""
    _well(virsh(deadline, *words), words[0])


def _executed(argv: Sequence[str], what: str, deadline: Deadline) -> Completed:
    try:
        return execute(argv, deadline.within(clocks.LIBVIRT), environment=_environment())
    except ToolTimeoutError as exc:
        hint = "libvirt's daemon may hang: `systemctl restart libvirtd`"
        raise BootError(f"virsh {what} did not end in time", hint=hint) from exc


def _well(done: Completed, what: str) -> None:
    if done.status != 0:
        said = " ".join((done.stderr or done.stdout).decode(errors="replace").split())
        raise BootError(f"virsh {what} failed: {said}")


def _environment() -> Mapping[str, str]:
    return {"URI": uri(), "LC_ALL": "C"}


def _is_there(volume: str, deadline: Deadline) -> bool:
    return virsh(deadline, "vol-info", "--pool", POOL, volume).status == 0


def _subnet(xml: str) -> str:
    address = xml.partition("<ip address='")[2].partition("'")[0]
    return f"{address.rpartition('.')[0]}.0/24"


@contextmanager
def _locked(path: Path, deadline: Deadline) -> Iterator[None]:
    with locked(path, deadline) as ours:
        if not ours:
            raise BootError(f"another run has held the lock {path} for too long")
        yield


@contextmanager
def _shared(path: Path) -> Iterator[None]:
    import fcntl  # Windows has neither fcntl nor libvirt's daemon

    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield
