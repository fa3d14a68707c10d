"""What Vagrant leaves to us about libvirt: a network, a lock around the first use of a box, rests.

vagrant-libvirt 0.11 locks within one process only: two `vagrant up` at once that both find no
network, or no image of the box in the pool, both make it, and one fails. What it makes for one
guest it may leave behind when that guest is not the last, or is killed half-way.
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
"""Of the one daemon, or of the one for QEMU where there is a daemon for each kind."""

POOL = "default"
"""vagrant-libvirt's storage_pool_name where none is given."""

SUBNETS = range(130, 150)
"""The third byte of the network's addresses: libvirt's own is 122, vagrant-libvirt's 121."""

NETWORK = """<network><name>{name}</name><forward mode='nat'/><bridge stp='off'/>
<ip address='192.168.{byte}.1' netmask='255.255.255.0'><dhcp>
<range start='192.168.{byte}.2' end='192.168.{byte}.254'/></dhcp></ip></network>
"""
"""Without the spanning tree protocol, libvirt's default: there is no loop to be broken, and with it
the bridge forwards nothing in a guest's first four seconds."""

VIRSH = 'virsh() { command virsh --quiet --connect "$URI" "$@"; }'

MAC = """mac=$(virsh domiflist "$1" | grep -io -m 1 '[0-9a-f:]\\{17\\}')"""

RESERVE = f"""{VIRSH}
{MAC}
virsh net-update "$2" add ip-dhcp-host "<host mac='$mac' ip='$3'/>" --live --config
"""
"""Keeps a guest's address for it: else others get it an hour after it was last seen."""

OFF = f"""{VIRSH}
{{ {MAC}
  for where in --live --config; do
    virsh net-update "$2" delete ip-dhcp-host "<host mac='$mac'/>" $where
  done
  virsh destroy "$1"; }} >/dev/null 2>&1
:
"""
"""Frees the address, and powers the guest off: while one runs whose address dnsmasq has forgotten,
each command of vagrant-libvirt's waits for that, half a minute."""

SWEEP = f"""{VIRSH}
virsh version >/dev/null || exit 1
{{ virsh destroy "$1"; virsh undefine --managed-save --snapshots-metadata --nvram "$1" ||
  virsh undefine "$1"; virsh vol-delete --pool "$2" "$1.img"; }} >/dev/null 2>&1
! virsh domstate "$1" >/dev/null 2>&1 && ! virsh vol-info --pool "$2" "$1.img" >/dev/null 2>&1
"""
"""Succeeds if and only if neither domain nor volume of that name is there afterwards."""

CLEAR = f"""{VIRSH}
connections=$(virsh net-dumpxml "$1" 2>/dev/null | grep "<network.* connections=")
[ -n "$connections" ] || {{
  virsh net-destroy "$1"
  virsh net-dumpxml --inactive "$1" | grep -q "<host " || virsh net-undefine "$1"
}} >/dev/null 2>&1
:
"""
"""Ends the network unless a guest is on it; it stays defined while addresses are kept in it."""

FORGET = f"""{VIRSH}
virsh vol-delete --pool "$2" "$1" >/dev/null 2>&1; :
"""


def refusal() -> str | None:
    """Why no machine can be made through libvirt here; None if one can."""
    if shutil.which(PROGRAM) is None:
        return f"no {PROGRAM} here: `reuseport-matrix doctor --install --with vagrant`"
    if "LIBVIRT_DEFAULT_URI" not in os.environ and not any(Path(one).exists() for one in SOCKETS):
        return "its daemon does not run: `systemctl start libvirtd`"
    return None


def uri() -> str:
    """Return the address of the daemon, as vagrant-libvirt decides it, too."""
    return os.environ.get("LIBVIRT_DEFAULT_URI", "qemu:///system")


class Ground:
    """What the guests of one state share at libvirt's: a network, and the locks around it."""

    def __init__(self, places: Places) -> None:
        self._folder = places.folder("vagrant")
        token = hashlib.sha256(os.fsencode(places.state)).hexdigest()[:8]
        self.network = f"{NAME}-{token}"
        self._users = self._folder / f"{self.network}.lock"

    def undo(self, domain: str) -> tuple[Undo, Undo, Undo]:
        """Return what powers a guest off, what takes away its rests, and the unused network."""
        off = ("sh", "-c", OFF, "off", domain, self.network)
        sweep = ("sh", "-c", SWEEP, "sweep", domain, POOL)
        return (
            Undo(off, clocks.LIBVIRT, _environment(), decisive=False),
            Undo(sweep, clocks.LIBVIRT, _environment()),
            Undo(self._clear(), clocks.LIBVIRT, _environment(), decisive=False),
        )

    def _clear(self) -> tuple[str, ...]:
        # flock(1) shares its locks with `used`: not while a guest comes up or is up.
        lock = ("flock", "--timeout", "0.5", "--conflict-exit-code", "0", str(self._users))
        return (*lock, "sh", "-c", CLEAR, "clear", self.network)

    @contextmanager
    def used(self, deadline: Deadline) -> Iterator[str]:
        """Yield the network's address, which stays while the block runs."""
        try:
            with _shared(self._users):
                with _locked(self._folder / f"{self.network}.made.lock", deadline):
                    address = self._made(deadline)
                yield address
        finally:  # a guest that is parked by now needs none
            with suppress(ToolTimeoutError):
                execute(self._clear(), Deadline(clocks.LIBVIRT), environment=_environment())

    def _made(self, deadline: Deadline) -> str:
        there = virsh(deadline, "net-dumpxml", self.network)
        if there.status == 0:
            virsh(deadline, "net-start", self.network)  # fails if it is up
            if self.network in virsh(deadline, "net-list", "--name").stdout.decode().split():
                return _subnet(there.stdout.decode())
            # Somebody else has its addresses now; what is parked in it will not be found again.
            virsh(deadline, "net-undefine", self.network)
        said = there
        for byte in SUBNETS:
            file = self._folder / f"{self.network}.xml"
            file.write_text(NETWORK.format(name=self.network, byte=byte))
            virsh(deadline, "net-define", str(file))
            said = virsh(deadline, "net-start", self.network)
            if said.status == 0:
                return f"192.168.{byte}.0/24"
            virsh(deadline, "net-undefine", self.network)
        why = said.stderr.decode(errors="replace").strip()
        hint = "`virsh net-start default` has to work; `iptables` and `dnsmasq` are needed"
        raise BootError(f"libvirt cannot make a network: {why}", hint=hint)

    def reserve(self, domain: str, address: str, deadline: Deadline) -> None:
        """Keep a guest's address for it, until its `undo`."""
        argv = ("sh", "-c", RESERVE, "reserve", domain, self.network, address)
        _well(_executed(argv, "net-update", deadline), "net-update")

    @contextmanager
    def box_ready(self, box: Box, version: str | None, deadline: Deadline) -> Iterator[Undo | None]:
        """Let one at a time bring a box's image into the pool; later ones pass freely.

        Yield what forgets a half-made image, for as long as there may be one.
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
    """Ask libvirt's daemon; raise `BootError` if it does not answer."""
    return _executed((PROGRAM, "--connect", uri(), *words), words[0], deadline)


def do(deadline: Deadline, *words: str) -> None:
    """Have libvirt's daemon do something; raise `BootError` if it does not."""
    _well(virsh(deadline, *words), words[0])


def _executed(argv: Sequence[str], what: str, deadline: Deadline) -> Completed:
    try:
        return execute(argv, deadline.within(clocks.LIBVIRT), environment=_environment())
    except ToolTimeoutError as exc:
        hint = "is libvirt's daemon well? `systemctl restart libvirtd`"
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
            raise BootError(f"another run holds {path} for too long")
        yield


@contextmanager
def _shared(path: Path) -> Iterator[None]:
    import fcntl  # not on Windows, nor is libvirt's daemon

    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield
