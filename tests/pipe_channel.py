"""A channel of a cluster without a cluster: the test is the other side."""

from queue import Queue

from harness.cluster.channel import ChannelError
from harness.cluster.messages import (
    Message,
    encode,
)


class Pipe:
    """A channel in this process; `far` is what the other side puts."""

    def __init__(self) -> None:
        self.name = "pipe"
        self.sent: list[bytes] = []
        self.far: Queue[bytes | ChannelError] = Queue()

    def put(self, content: bytes, timeout: float | None = None) -> None:
        self.sent.append(content)

    def get(self) -> bytes:
        found = self.far.get()
        if isinstance(found, ChannelError):
            raise found
        return found

    def close(self, *, alone: bool = False) -> None:
        self.sent.append(b"closed")

    def say(self, *said: Message) -> "Pipe":
        for one in said:
            self.far.put(encode(one))
        return self
