"""Each classifier of the catalogue against each kind of kernel that has misled somebody."""

import pytest
import simulated_kernels as kernels
from simulated_kernels import Kernel
from test_scenarios import judged

from harness.model import State
from harness.scenarios import CATALOGUE

KERNELS = {
    "hash scaled": Kernel(kernels.scaled),
    "modulo": Kernel(kernels.modulo),
    "newest": Kernel(kernels.newest),
    "oldest": Kernel(kernels.oldest),
    "one idle half": Kernel(kernels.idle_half),
    "copies": Kernel(kernels.copies),
    "lossy": Kernel(kernels.lossy),
    "starved": Kernel(kernels.lossy, gap=4000),
}

LOSSY, STARVED = "not served", "guest was starved"

UNCLEAR = (None, LOSSY, STARVED)

NAMES: dict[str, tuple[str | None, ...]] = {
    "sharing": ("shared",) * 8,
    "distribution": (
        *("balanced", "balanced", "newest", "oldest", "skewed", "copied"),
        *UNCLEAR[1:],
    ),
    "server-port": ("same", "same", "one", "one", "same", *UNCLEAR),
    "listen-order": (*("listen",) * 5, *UNCLEAR),
    "takeover": (
        *("shared", "shared", "newest-takes-all", "oldest-keeps", "oldest-keeps"),
        *UNCLEAR,
    ),
    "fallback": ("rebalanced", "rebalanced", "previous", "next", None, *UNCLEAR),
    "failure-established": (
        *("unaffected", "unaffected", "no survivor", "no survivor", "unaffected"),
        *UNCLEAR,
    ),
    "failure-queued": (*("reset",) * 5, *UNCLEAR),
    "failure-handshake": (*("reset",) * 5, *UNCLEAR),
    "failure-arrivals": (*("served",) * 5, None, "slow or lost before", STARVED),
    "failure-flows": ("reshuffled", "reshuffled", "minimal", "minimal", "minimal", *UNCLEAR),
    "failure-hung": ("stalled", "stalled", "all-stalled", "all-stalled", "stalled", *UNCLEAR),
    "bound-only": (*("harmless",) * 5, None, LOSSY, STARVED),
    "last-gone": ("refused",) * 8,
    "precedence": ("both", "both", "specific", "wildcard", "wildcard", "copied", *UNCLEAR[1:]),
    "group-limit": ("all", "all", "one", "one", "deaf", "copied", *UNCLEAR[1:]),
    "datagrams": (
        *("balanced", "balanced", "newest", "oldest", "skewed", "copied"),
        *UNCLEAR[1:],
    ),
    "drain": (*("lossless",) * 5, None, LOSSY, STARVED),
}
"""What each kernel is to be called, in the order above: a verdict's word, a reason, or None where
any reason will do (TCP does not copy). A kernel whose loss is no part of the question, because its
queue is as usual (`last-gone`) or it is asked to bind only (`sharing`), is judged all the same."""

SIZES = {
    "takeover": {"listeners": "2"},
    "last-gone": {"listeners": "1"},
    "group-limit": {"flows": "1600", "sockets": "64"},
    "drain": {"flows": "3185", "rounds": "24"},
}


def test_every_scenario_is_tried() -> None:
    assert NAMES.keys() == CATALOGUE.keys()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("scenario", CATALOGUE)
def test_each_classifier_names_each_kernel_rightly(scenario: str, kernel: str) -> None:
    name = NAMES[scenario][list(KERNELS).index(kernel)]
    protocol = {"protocol": "udp"} if kernel == "copies" or scenario == "datagrams" else {}
    found = judged(KERNELS[kernel], scenario, **SIZES.get(scenario, {}), **protocol)
    if found.state is State.MEASURED:
        assert (found.verdict or "").partition(":")[0] == name
    else:
        assert found.state in (State.INCONCLUSIVE, State.NOT_APPLICABLE)
        assert name is None or name in (found.why or "")
