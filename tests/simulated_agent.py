"""The lines that an agent would write on a simulated kernel, for every scenario.

For tests only, like the kernels.
"""

from collections.abc import Mapping

from simulated_changes import CHANGES
from simulated_connected import CONNECTED
from simulated_groups import GROUPS
from simulated_handshakes import HANDSHAKES
from simulated_kernels import Kernel
from simulated_restart import RESTARTED
from simulated_steering import STEERED
from simulated_trial import Simulated, Trial

SIMULATED: Mapping[str, Simulated] = {
    **GROUPS,
    **CHANGES,
    **HANDSHAKES,
    **CONNECTED,
    **STEERED,
    **RESTARTED,
}


def answer(kernel: Kernel, scenario: str, parameters: Mapping[str, str]) -> bytes:
    """Return the agent's answer on this kernel, as one block of a batch."""
    trial = Trial(kernel, scenario, parameters)
    SIMULATED[scenario].say(trial)
    return b"".join(trial.lines_of())
