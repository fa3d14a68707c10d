"""A tiny HTTP server for the tests of `restart`: PORT FILE MODE. SIGHUP makes it read FILE again.

| mode | what it does wrong |
|---|---|
| `good` | nothing |
| `loses` | at SIGHUP it closes its listener, with what waits there, and opens another one |
| `stays` | it ignores SIGTERM |
| `closes` | it closes each connection without a word |
| `rubbish` | it answers something else than HTTP |
| `error` | its answers have status 503 |
| `sick` | they have after SIGHUP |
| `floods` | it writes 2 MiB for each answer, to standard output and to a file |
| `deaf` | it never accepts again after SIGHUP |
"""

import contextlib
import os
import signal
import socket
import sys
import time
from pathlib import Path


def listener(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    made.listen(512)
    made.settimeout(0.02)
    return made


def flood() -> None:
    os.write(1, b"x" * (1 << 20))
    with contextlib.suppress(OSError), Path("flood.log").open("ab") as log:
        log.write(b"y" * (1 << 20))


def answer(generation: str, mode: str, told: bool) -> bytes:
    if mode == "rubbish":
        return b"rubbish\n"
    if mode == "error" or (mode == "sick" and told):
        return b"HTTP/1.1 503 Sorry\r\nContent-Length: 0\r\n\r\n"
    body = f"generation {generation}\n".encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def serve(connection: socket.socket, generation: str, mode: str, told: bool) -> None:
    with connection:
        request = b"" if mode != "closes" else b"\r\n\r\n"
        while b"\r\n\r\n" not in request:
            part = connection.recv(4096)
            if not part:
                return
            request += part
        if mode == "floods":
            flood()
        if mode != "closes":
            connection.sendall(answer(generation, mode, told))


def main(port: int, file: Path, mode: str) -> None:
    hangups: list[int] = []
    signal.signal(signal.SIGHUP, lambda number, _: hangups.append(number))
    if mode == "stays":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    seen, generation, door = 0, file.read_text(), listener(port)
    os.write(1, b"ready to serve\n")
    while True:
        with contextlib.suppress(OSError):
            serve(door.accept()[0], generation, mode, seen > 0)
        if len(hangups) == seen:
            continue
        seen = len(hangups)
        generation = file.read_text()
        while mode == "deaf":
            time.sleep(1)
        if mode == "loses":
            time.sleep(0.05)
            door.close()
            door = listener(port)


main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
