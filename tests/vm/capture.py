"""Runs a command in a new network namespace and records every packet except those of loopback.

Start it with unshare(1), which makes the namespace: `python capture.py FILE COMMAND...`
"""

import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

ETH_P_ALL, LINKTYPE_RAW, SNAP = 3, 101, 65535
"""packet(7). Without the link-layer header, a packet begins with IP, as on a tun device."""

ROOM = 64 << 20


def capture(path: Path, command: list[str]) -> int:
    """Write the packets as pcap; return the command's status."""
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
    tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
    tap.settimeout(0.3)
    process = subprocess.Popen(command)
    with path.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, SNAP, LINKTYPE_RAW))
        while True:
            try:
                packet, (interface, *_) = tap.recvfrom(SNAP)
            except TimeoutError:
                if process.poll() is None:
                    continue
                return process.returncode
            if interface != "lo":
                now, size = time.time_ns(), len(packet)
                stamp = struct.pack("<IIII", now // 10**9, now % 10**9 // 1000, size, size)
                out.write(stamp + packet)


if __name__ == "__main__":
    sys.exit(capture(Path(sys.argv[1]), sys.argv[2:]))
