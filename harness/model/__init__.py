"""The data model: frozen values without I/O, which all other modules use."""

from harness.model.box import Box, Checked
from harness.model.guest import (
    GUEST_NAME,
    ROW_NAME,
    AgentSource,
    DebianKernel,
    Guest,
    Image,
    OnlyOn,
    Root,
    Ssh,
)
from harness.model.trial import (
    AXES,
    TUNABLES,
    Cell,
    Depth,
    Judgement,
    State,
    Trial,
    settle,
    share,
    word,
)

__all__ = [
    "AXES",
    "GUEST_NAME",
    "ROW_NAME",
    "TUNABLES",
    "AgentSource",
    "Box",
    "Cell",
    "Checked",
    "DebianKernel",
    "Depth",
    "Guest",
    "Image",
    "Judgement",
    "OnlyOn",
    "Root",
    "Ssh",
    "State",
    "Trial",
    "settle",
    "share",
    "word",
]
