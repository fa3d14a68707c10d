"""The user that runs the agent in a guest: who logged in, and whether that user can become root.

This is tested once, before the first question. Otherwise a command that asks for a password would
read the agent's questions as the password.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from harness import clocks
from harness.errors import CommandTimeoutError, InfrastructureError, Phase
from harness.model import Root
from harness.protocols import Completed, Transport
from harness.transport.shell import login_command
from harness.wire.replies import visible

WITHOUT_PASSWORD: Mapping[str, tuple[str, ...]] = {"sudo": ("sudo", "-n"), "doas": ("doas", "-n")}
"""With -n both fail instead of asking for a password (sudo(8), doas(1))."""

REMEDIES: Mapping[Root, str] = {
    "none": "set `root` to `sudo`, `doas` or `su` in the guest file, or log in as root",
    "sudo": "add `{user} ALL=(root) NOPASSWD: ALL` with visudo in the guest",
    "doas": "add `permit nopass {user} as root` to doas.conf in the guest",
    "su": "su needs a root without a password and, on BSDs, {user} in the group wheel",
}


class User(Struct, frozen=True):
    """The user that logged in, and the `way` it becomes root; `why`: the reason if it cannot.

    `uid` is None if the guest did not print a valid one.
    """

    name: str
    uid: int | None
    way: Root = "none"
    why: str | None = None

    @property
    def provenance(self) -> Mapping[str, str]:
        """The user that asked the questions, for the results."""
        if self.why is not None:
            root = f"no: {self.why}"
        elif self.way != "none":
            root = f"yes, by {self.way}"
        else:
            root = "unknown" if self.uid is None else "yes"
        uid = {} if self.uid is None else {"user": self.name, "uid": str(self.uid)}
        return {**uid, "root": root}

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command that runs `argv` as root, or as this user if it cannot be root."""
        return [*argv] if self.way == "none" else become(self.way, argv)


def become(way: Root, argv: Sequence[str]) -> list[str]:
    """Return the command that runs `argv` as root.

    Only one form of su works on Linux (util-linux, busybox), the BSDs and macOS: the user, then
    `-c` and one word for root's shell, which may be csh. Before the user, -c is a login class on
    BSDs. With `-` or -l, root's profile would run and might print something.
    """
    if way == "su":
        return ["su", "root", "-c", login_command(argv)]
    return [*WITHOUT_PASSWORD[way], *argv]


def of_guest(transport: Transport, name: str, uid: int | None, wanted: Root) -> User:
    """Try to become root; return the user that will ask. A user that is root needs no `way`."""
    if uid == 0 or (uid is None and wanted == "none"):
        return User(name, uid)
    if wanted == "none":
        return User(name, uid, why=f"the guest file says no way for {name} to become it")
    factor = clocks.slow_factor(transport.provenance)
    try:
        done = transport.run(become(wanted, ["id", "-u"]), timeout=clocks.BECOME * factor)
    except CommandTimeoutError:
        return User(name, uid, why=f"{wanted} does not answer")
    except InfrastructureError as exc:
        exc.phase = Phase.PUSH
        raise
    if done.status == 0 and done.stdout.strip() == b"0":
        return User(name, uid, wanted)
    if done.status == 0 and done.stdout.split()[-1:] == [b"0"]:
        # The agent's answers would be mixed with it. `Frame` keeps apart only the login shell's.
        return User(name, uid, why=f"a start-up file of root's shell prints, which {wanted} runs")
    return User(name, uid, why=_refusal(wanted, done))


def remedy(user: User, wanted: Root) -> str:
    """Return what the user must change so that cells that need root can be measured."""
    return REMEDIES[wanted].format(user=user.name)


def _refusal(way: Root, done: Completed) -> str:
    """Return in a few words why a user did not become root."""
    said = done.stderr.decode(errors="replace").strip().splitlines()
    text = visible(said[-1]) if said else f"status {done.status}"
    if done.status == 127 and "not found" in text:
        return f"{way} is not installed in the guest"
    if "password" in text.lower() or "authentication" in text.lower():
        return f"{way} asks for a password"
    return text if text.startswith(way) else f"{way}: {text}"
