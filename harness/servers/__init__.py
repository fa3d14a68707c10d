"""Server files: reads YAML into `Server`, reports mistakes with file and line, writes plans."""

from harness.servers.files import load
from harness.servers.plan import plan, plan_name

__all__ = ["load", "plan", "plan_name"]
