"""Each classifier of the catalogue against each kind of kernel that has misled people."""

import pytest
from simulated_agent import SIMULATED
from simulated_kernels import KERNELS
from test_scenarios import judged

from harness.model import State
from harness.scenarios import CATALOGUE


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("scenario", CATALOGUE)
def test_each_classifier_names_each_kernel_rightly(scenario: str, kernel: str) -> None:
    simulated = SIMULATED[scenario]
    name = simulated.names[list(KERNELS).index(kernel)]
    protocol = {"protocol": "udp"} if kernel == "copies" else {}
    found = judged(KERNELS[kernel], scenario, **{**simulated.asked, **protocol})
    if found.state is State.MEASURED:
        assert (found.verdict or "").partition(":")[0] == name
    else:
        assert found.state in (State.INCONCLUSIVE, State.NOT_APPLICABLE)
        assert name is None or name in (found.why or "")
