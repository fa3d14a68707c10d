"""A web server on loopback that can fail in the ways that vendors' servers do."""

import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar


@dataclass
class Site:
    """The server's files and behaviour; `asked` has the Range of each request, or None."""

    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    etag: str | None = '"one"'
    cut: list[int] = field(default_factory=list)
    """For each of the next responses, the bytes after which the connection is closed."""
    statuses: list[int] = field(default_factory=list)
    """Status codes of the next responses, to make them fail."""
    length: int | None = None
    """Content-Length to send instead of the true one."""
    chunked: bool = False
    silent: float = 0.0
    """Seconds to wait before the content."""
    trickle: float = 0.0
    """Seconds to wait after each byte."""
    asked: list[str | None] = field(default_factory=list)
    port: int = 0

    def address(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"


class Answer(http.server.BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    site: ClassVar[Site]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.site.asked.append(wanted)
        content = self.site.files.get(self.path.lstrip("/"))
        if self.site.statuses or content is None:
            self.send_error(self.site.statuses.pop(0) if self.site.statuses else 404)
            return
        try:
            self._send(content, wanted)
        except OSError:
            self.close_connection = True

    def _send(self, content: bytes, wanted: str | None) -> None:
        start = self._start(wanted)
        if start > len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            whole = len(content)
            self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
        if self.site.etag is not None:
            self.send_header("ETag", self.site.etag)
        body = content[start:]
        if self.site.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        else:
            length = len(body) if self.site.length is None else self.site.length
            self.send_header("Content-Length", str(length))
        self.end_headers()
        time.sleep(self.site.silent)
        self._write(body)

    def _start(self, wanted: str | None) -> int:
        unchanged = self.headers.get("If-Range", self.site.etag) == self.site.etag
        if not self.site.ranges or wanted is None or not unchanged:
            return 0
        return int(wanted.removeprefix("bytes=").removesuffix("-"))

    def _write(self, body: bytes) -> None:
        if self.site.cut:
            body = body[: self.site.cut.pop(0)]
            self.close_connection = True
        if not self.site.trickle:
            self.wfile.write(body)
            return
        for byte in body:
            self.wfile.write(bytes([byte]))
            time.sleep(self.site.trickle)


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    """Serve until the block ends."""
    handler = type("Answering", (Answer,), {"site": site})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.block_on_close = False
    site.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
