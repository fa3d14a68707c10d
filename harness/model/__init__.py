"""The nouns: frozen values without I/O that every other module passes around."""

from harness.model.guest import (
    AgentSource,
    Box,
    Checked,
    DebianKernel,
    Guest,
    Image,
    OnlyOn,
    Root,
    Ssh,
)
from harness.model.trial import (
    AXES,
    COUNTED,
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
    "COUNTED",
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
