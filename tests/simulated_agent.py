"""What an agent would say of a simulated kernel: every scenario's script, in the wire's words.

For tests only, as the kernels are.
"""

from collections.abc import Mapping

from simulated_changes import CHANGES
from simulated_groups import GROUPS
from simulated_kernels import Kernel
from simulated_trial import Simulated, Trial

SIMULATED: Mapping[str, Simulated] = {**GROUPS, **CHANGES}


def answer(kernel: Kernel, scenario: str, parameters: Mapping[str, str]) -> bytes:
    """Return what the agent would say of this kernel, as one block of a batch."""
    trial = Trial(kernel, scenario, parameters)
    SIMULATED[scenario].say(trial)
    return b"".join(trial.lines_of())
