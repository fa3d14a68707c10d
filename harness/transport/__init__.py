"""Ways to reach a guest: a child of this process, or SSH; world's errors are translated here."""

from harness.transport.keys import generate_key
from harness.transport.local import LocalTransport
from harness.transport.race import Alive, SshLogin
from harness.transport.ssh import SshTransport

__all__ = ["Alive", "LocalTransport", "SshLogin", "SshTransport", "generate_key"]
