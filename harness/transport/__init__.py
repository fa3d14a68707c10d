"""Ways to reach a guest: child processes or SSH. Foreign errors are translated here."""

from harness.transport.keys import generate_key
from harness.transport.local import LocalTransport
from harness.transport.race import Alive, SshLogin
from harness.transport.ssh import SshTransport

__all__ = ["Alive", "LocalTransport", "SshLogin", "SshTransport", "generate_key"]
