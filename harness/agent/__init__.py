"""The harness's end of the agent: built here or there, put into the guest, vouched for, asked."""

from harness.agent.binary import Program
from harness.agent.build import NATIVE, Builder, host_target
from harness.agent.installed import Agent, placed
from harness.wire.question import Question

__all__ = ["NATIVE", "Agent", "Builder", "Program", "Question", "host_target", "placed"]
