"""Brings the plans of servers into a guest, where the agent carries them out."""

import posixpath
from collections.abc import Collection

from harness import clocks
from harness.agent import Agent
from harness.model.server import Server
from harness.servers import plan, plan_name


def bring(servers: Collection[Server], agent: Agent, system: str) -> None:
    """Push the plan of each server beside the agent's program, where it looks for them."""
    folder = posixpath.dirname(agent.path)
    root = agent.transport.server_root
    factor = clocks.slow_factor(agent.transport.provenance)
    for server in servers:
        lacking = [root.missing[name] for name in server.packages if name in root.missing]
        inside = root.path if server.packages else ""
        content = plan(server, system, root=inside, missing="; ".join(lacking), factor=factor)
        agent.transport.push(
            content, f"{folder}/{plan_name(server.name)}", timeout=clocks.SETUP * factor
        )
