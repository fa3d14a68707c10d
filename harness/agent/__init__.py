"""The host's side of the agent: builds it, installs it in the guest, checks it, asks questions."""

from harness.agent.binary import Program
from harness.agent.build import HOST, NATIVE, Builder, host_target
from harness.agent.installed import Agent, placed
from harness.wire.question import Question

__all__ = [
    "HOST",
    "NATIVE",
    "Agent",
    "Builder",
    "Program",
    "Question",
    "host_target",
    "placed",
]
