"""Types the console steps of a guest file on the guest that has just been started."""

from collections.abc import Mapping
from contextlib import closing

from harness.deadline import Deadline
from harness.model.guest import Qemu
from harness.providers.qemu.machine import Machine
from harness.providers.qemu.typed_console.face import Face
from harness.providers.qemu.typed_console.screen import Screen
from harness.providers.qemu.typed_console.serial_line import SerialLine
from harness.providers.qemu.typed_console.typist import Typist


def type_on(
    machine: Machine, qemu: Qemu, values: Mapping[str, str], factor: float, limit: Deadline
) -> None:
    """Carry out the steps; raise `BootError` if one does not succeed.

    `values` are what the placeholders stand for; `factor` is the slow-host factor.
    """
    if not qemu.console:
        return
    where = {step.on for step in qemu.console}
    with closing(SerialLine(machine.console)) as line:
        faces: dict[str, Face] = {}
        if "serial" in where:
            line.attach(machine.monitor, limit, machine.death)
            faces["serial"] = line
        if "screen" in where:
            faces["screen"] = Screen(machine.monitor, machine.folder, limit, machine.death)
        Typist(faces, line, values, factor, machine.death).carry_out(qemu.console, limit)
