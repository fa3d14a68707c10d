"""A sandbox that calls itself Linux never counts as Linux, wherever it runs."""

from pathlib import Path

import pytest
from fakes import reply

from harness.claims import CLAIMS
from harness.claims.subjects import OTHERS
from harness.matrix import Facts, Matrix, Run
from harness.matrix.evidence import Witness
from harness.matrix.systems import GVISOR_BUILD, system_of
from harness.model import Cell, Depth, Judgement, State, Trial
from harness.report import compatibility, header
from harness.store import Asked, GuestMet, RunBegun, Store, judge_folder

SAID = {
    "sysname": "Linux",
    "release": "4.4.0",
    "version": GVISOR_BUILD,
    "machine": "x86_64",
}
"""What gVisor answers to uname(2)."""

MADE = {"provider": "gvisor", "system": "gVisor", "release": "20240729.0", "accelerator": "ptrace"}

CELL = Cell.at("distribution", option="reuseport", protocol="tcp", family="ipv4", bind="specific")


def test_its_provider_knows_what_it_is() -> None:
    assert system_of("gVisor", SAID, MADE) == ("gVisor", "20240729.0")


@pytest.mark.parametrize(
    ("version", "known"),
    [
        ("omnios-r151058-0a1b2c3d4e", "illumos"),
        ("joyent_20260101", "illumos"),
        ("11.4.0.15.0", "SunOS"),
    ],
)
def test_an_illumos_is_no_solaris(version: str, known: str) -> None:
    said = {"sysname": "SunOS", "release": "5.11", "version": version, "machine": "i86pc"}
    assert system_of("OmniOS", said, {}) == (known, "5.11")
    assert ("illumos" in OTHERS.systems, "SunOS" in OTHERS.systems) == (False, True)


@pytest.mark.parametrize("written", ["host", "Linux", "gvisor"])
def test_it_is_known_by_its_mark_or_its_file_without_its_provider(written: str) -> None:
    """As when the harness itself runs in a sandbox, or logs in to one by SSH."""
    assert system_of(written, SAID, {"provider": "ssh"}) == ("gVisor", None)
    other = {**SAID, "version": "#1 SMP", "release": "4.19.0-gvisor"}
    assert system_of("host", other, {}) == ("gVisor", None)
    assert system_of("gVisor", {**SAID, "version": "#1 SMP"}, {}) == ("gVisor", None)


def test_every_other_system_is_what_uname_says() -> None:
    linux = {**SAID, "version": "#143-Ubuntu SMP Tue Aug 27 2019"}
    assert system_of("Linux", linux, {"provider": "qemu"}) == ("Linux", "4.4.0")
    assert system_of("macOS", {"sysname": "Darwin", "release": "24.0"}, {}) == ("Darwin", "24.0")
    assert system_of("NetBSD", {}, {}) == ("NetBSD", None)


def test_the_record_keeps_both_names(tmp_path: Path) -> None:
    begun = RunBegun("r", "t", Depth.QUICK, "0", {"box": "gVisor"}, (CELL,))
    parameters = {"protocol": "tcp", "family": "ipv4", "bind": "specific", "flows": "400"}
    words = " ".join(f"{name}={value}" for name, value in parameters.items())
    with Store.create(tmp_path / "run", begun) as store:
        record = store.guest("box")
        record.met(GuestMet("box", "t", MADE, SAID))
        record.answered(
            Asked("box", CELL, 1, "q0", parameters, "t", 0.1),
            reply(f"q0 distribution {words}").encode(),
        )
    about = judge_folder(tmp_path / "run").guests["box"]
    assert (about["system"], about["release"]) == ("gVisor", "20240729.0")
    assert about["facts"] == SAID
    assert about["provenance"] == {"system": "gVisor", "release": "20240729.0"}


def measured(**axes: str) -> Matrix:
    """Return a matrix in which gVisor answered, as Linux does, at many points."""
    points = [
        Cell.at("distribution", option="reuseport", protocol="tcp", family=family, bind=bind)
        for family in ("ipv4", "ipv6")
        for bind in ("specific", "wildcard")
    ]
    judgement = Judgement(State.MEASURED, "balanced")
    trials = [Trial("box", cell, (judgement,), "t", 0.1) for cell in points]
    facts: Facts = {"system": "gVisor", "release": "20240729.0", "provider": "gvisor"}
    return Matrix.of(Run("r", "t", Depth.FULL), {"box": {**facts, "facts": SAID}}, trials)


def test_no_claim_is_about_it() -> None:
    witness = Witness.of("r", "box", measured().guests["box"])
    for claim in CLAIMS:
        for part in claim.parts:
            assert not part.subject.includes(witness), (claim.id, part.subject.label)
    assert not OTHERS.includes(witness)


def test_no_report_counts_it_as_linux() -> None:
    matrix = measured()
    assert "box" not in header.render(matrix)
    ranges = compatibility.compatibility(matrix).behaviours["distribution"].supports
    assert {system for one in ranges for system in one.support} == {"gVisor"}
