"""Says when an address of a guest file was last checked, above all when it leads nowhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from harness.errors import ImageError
from harness.model import Box, Image


def last_check(source: Image | Box) -> str:
    """Return when and how the address was last checked."""
    if source.checked is not None:
        return f"last checked on {source.checked.on}: {source.checked.how}"
    return "never checked" if source.unchecked else "last check unknown: not in its guest file"


@contextmanager
def dated(image: Image) -> Iterator[None]:
    """Add the last check of the image's addresses to an `ImageError` of the block."""
    try:
        yield
    except ImageError as exc:
        raise ImageError(f"{exc} (address {last_check(image)})", hint=exc.hint) from exc
