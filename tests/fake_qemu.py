#!/usr/bin/env python3
"""A fake QEMU for tests of how guests die: it speaks QMP and writes a console log.

FAKE_QEMU chooses what happens: `exit` at once, with a message; `quiet` and `killed` without one;
`panic`, `silent`, `blank` (it prints nothing), `mute` (no monitor).
"""

import json
import os
import re
import signal
import socket
import sys
import time

MODE = os.environ["FAKE_QEMU"]
LINE = " ".join(sys.argv)

if MODE == "exit":
    sys.exit("qemu: could not open what it needs\x1b[2J")
if MODE == "quiet":
    sys.exit()
if MODE == "killed":
    os.kill(os.getpid(), signal.SIGKILL)


def option(pattern: str) -> str:
    found = re.search(pattern, LINE)
    assert found is not None, LINE
    return found[1]


def say(text: str) -> None:
    with open(option(r"file,id=console,append=on,path=(\S+)"), "a") as console:
        console.write(text)


if MODE != "blank":
    say("Linux version 0\n")
monitor = socket.socket(fileno=int(option(r"socket,id=monitor,fd=(\d+)")))
forwarded = socket.create_server(("127.0.0.1", 0))
if MODE == "mute":
    time.sleep(60)
version = {"qemu": {"major": 1, "minor": 2, "micro": 3}, "package": "(fake)"}
monitor.sendall(json.dumps({"QMP": {"version": version}}).encode() + b"\r\n")
for line in monitor.makefile():
    asked = json.loads(line)
    reply: object = {}
    if asked["execute"] == "human-monitor-command":
        port = forwarded.getsockname()[1]
        reply = (
            f"Hub -1 (net):\r\n  TCP[HOST_FORWARD]  12  127.0.0.1 {port}  10.0.2.15  22  0  0\r\n"
        )
    monitor.sendall(json.dumps({"event": "RESUME"}).encode() + b"\r\n")
    monitor.sendall(json.dumps({"return": reply}).encode() + b"\r\n")
    if reply and MODE == "panic":
        say("[ 0.5] Kernel panic - not syncing: VFS: Unable to mount root fs\n")
        sys.exit(0)
time.sleep(60)
