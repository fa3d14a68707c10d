"""The second serial line of a guest from our initramfs, which gives it the login key.

guests/setup/init.sh writes `ready` when it waits for its line, and `up STATUS` when its network is
up; STATUS is the exit status of renewing its randomness. We send one line: the time, a seed, and
the credentials. So a waiting guest is the same at every boot, and its state can be saved.
"""

import base64
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
        """Wait until the guest asks for its line."""
        self._until(b"ready", deadline, alive)

    def tell(self, credentials: str, deadline: Deadline, alive: Alive) -> bool:
        """Send the guest the time, a seed and its credentials; wait until its network is up.

        Return whether its randomness was renewed from the seed.
        """
        seed = base64.b64encode(secrets.token_bytes(reseed.SEED_BYTES)).decode()
        self.say(f"{time.time():.0f} {seed} {credentials}".encode(), alive)
        return self._until(b"up", deadline, alive) == RENEWED

    def _until(self, word: bytes, deadline: Deadline, alive: Alive) -> bytes:
        """Return what follows the word on its line; other lines are the terminal's echo."""
        while True:
            try:
                first, _, rest = self.hear(deadline, alive).strip().partition(b" ")
            except Silence as exc:
                raise BootError(
                    f"the guest did not bring its network up within {deadline.seconds:.0f} s",
                    hint="its console's end shows how far it got; `boot_timeout` allows more time",
                ) from exc
            if first == word:
                return rest
