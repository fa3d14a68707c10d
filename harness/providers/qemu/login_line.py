"""The second serial line of a guest from our initramfs, on which it is told who may log in.

What guests/setup/init.sh says there: `ready` when it waits to be told, `up STATUS` when that is
done; STATUS is how renewing its randomness ended. What it is told is one line: the time, a seed,
and the credentials. So the guest that waits is the same for every boot, and can be kept.
"""

import secrets
import time

from harness.deadline import Deadline
from harness.errors import BootError
from harness.providers import reseed
from harness.providers.qemu.inherited_socket import InheritedSocket, Silence
from harness.transport import Alive

RENEWED = b"0"


class LoginLine(InheritedSocket):
    """Our end of the line."""

    def until_ready(self, deadline: Deadline, alive: Alive) -> None:
        """Wait for the guest to ask."""
        self._until(b"ready", deadline, alive)

    def tell(self, credentials: str, deadline: Deadline, alive: Alive) -> bool:
        """Tell the guest the time, a seed and its credentials, and wait until its network is up.

        Return whether its randomness was renewed from the seed.
        """
        seed = secrets.token_hex(reseed.SEED_BYTES)
        self.say(f"{time.time():.0f} {seed} {credentials}".encode(), alive)
        return self._until(b"up", deadline, alive) == RENEWED

    def _until(self, word: bytes, deadline: Deadline, alive: Alive) -> bytes:
        """Return what follows the word; other lines are the terminal's echo."""
        while True:
            try:
                first, _, rest = self.hear(deadline, alive).strip().partition(b" ")
            except Silence as exc:
                raise BootError(
                    f"the guest did not bring its network up within {deadline.seconds:.0f} s",
                    hint="its console's tail says how far it came; `boot_timeout` allows more time",
                ) from exc
            if first == word:
                return rest
