"""What cells must show to settle a claim, and what they must not be taken for."""

import pytest
from test_claims import (
    PARTS,
    Guest,
    catalogued,
    controls,
    found,
    guest_of,
    matrix,
    measured,
    spread,
)

from harness.claims import Claim, Standing, settle
from harness.model import Cell, Judgement, State

ABOUT_THE_OPTION = {"A7", "A9", "C20"}
"""Claims that a system has the option, or that it lacks it."""


@pytest.mark.parametrize("verdict", ["undefined", "unsupported:ENOPROTOOPT"])
def test_a_system_without_the_option_says_nothing_about_other_claims(verdict: str) -> None:
    heard = set()
    for claim, part in PARTS:
        cells = dict.fromkeys(catalogued(part), measured(verdict))
        if part.scenario == "sharing" and cells:
            alone = Claim(claim.id, claim.sentence, claim.source, (part,))
            guest = guest_of(part.subject, {**cells, **controls(part)})
            (one,) = settle([alone], [matrix(a=guest)])
            if not one.parts[0].cells:
                assert one.why is not None
                assert "without the option" in one.why
            else:
                heard.add(claim.id)
    assert heard == ABOUT_THE_OPTION
    guest = Guest("FreeBSD", "14.0", {sharing("reuseport_lb", case="both"): measured(verdict)})
    assert found("A7", matrix(a=guest)).parts[0].standing is Standing.REFUTED


def sharing(option: str, **axes: str) -> Cell:
    return Cell.at("sharing", option=option, protocol="tcp", family="ipv4", bind="specific", **axes)


@pytest.mark.parametrize(
    ("without", "standing", "why"),
    [
        (measured("refused:EADDRINUSE"), Standing.CONFIRMED, ""),
        (measured("shared"), Standing.NOT_TESTED, "1 where it was not shown that bind() is"),
        (Judgement(State.NOT_RUN, why="so"), Standing.NOT_TESTED, "1 where it was not shown"),
        (None, Standing.NOT_TESTED, "1 where it was not shown that bind() is refused"),
    ],
)
def test_a_cell_decides_only_if_its_control_holds(
    without: Judgement | None, standing: Standing, why: str
) -> None:
    """FreeBSD and NetBSD allow a bind over TIME_WAIT without any option."""
    cells = {sharing("reuseport", case="time-wait"): measured("shared")}
    if without is not None:
        cells[sharing("none", case="time-wait")] = without
    elsewhere = Guest("Linux", "5.10", {sharing("none", case="time-wait"): measured("refused:E1")})
    part = found("C23", matrix(a=Guest("Linux", "6.1", cells), b=elsewhere)).parts[0]
    assert part.standing is standing
    assert why in (part.why or "")


@pytest.mark.parametrize(
    ("name", "protocol", "judgement", "standing"),
    [
        ("C10", "udp", measured("newest"), Standing.NOT_TESTED),
        ("C10", "udp", measured("newest", spoke_1_flows=16), Standing.CONFIRMED),
        ("C10", "udp", measured("last-sender", spoke_1_flows=16), Standing.REFUTED),
        ("C10", "udp", measured("one:EPERM", spoke_1_flows=16), Standing.NOT_TESTED),
        ("C10", "udp", measured("balanced"), Standing.REFUTED),
        ("C25", "udp", measured("newest"), Standing.NOT_TESTED),
        ("C25", "udp", measured("by-address", addresses_flows=64), Standing.NOT_TESTED),
        ("C25", "udp", measured("last-sender"), Standing.CONFIRMED),
        ("C25", "tcp", measured("newest"), Standing.CONFIRMED),
        ("C25", "tcp", measured("one:EPERM"), Standing.NOT_TESTED),
    ],
)
def test_an_order_that_may_be_an_address_hash_or_a_sender_decides_nothing(
    name: str, protocol: str, judgement: Judgement, standing: Standing
) -> None:
    guest = Guest("NetBSD", "7.99", dict.fromkeys(spread(protocols=(protocol,)), judgement))
    parts = found(name, matrix(a=guest)).parts
    (part,) = [part for part in parts if part.part.subject.name == "NetBSD"]
    assert part.standing is standing


def test_one_member_that_serves_alone_has_no_place_to_keep() -> None:
    every = catalogued(next(part for claim, part in PARTS if claim.id == "C16"))
    for verdict, serving, standing in (
        ("stable", 4, Standing.CONFIRMED),
        ("minimal", 4, Standing.REFUTED),
        ("stable", 1, Standing.NOT_TESTED),
        ("minimal", 1, Standing.NOT_TESTED),
    ):
        cells = dict.fromkeys(every, measured(verdict, members_serving=serving))
        assert found("C16", matrix(a=Guest("DragonFly", "6.5", cells))).standing is standing


@pytest.mark.parametrize("verdict", ["refused:EADDRINUSE", "one-order:EADDRINUSE"])
def test_sockets_that_cannot_stand_together_have_no_preference(verdict: str) -> None:
    every = catalogued(next(part for claim, part in PARTS if claim.id == "C27"))
    guest = Guest("Linux", "6.1", dict.fromkeys(every, measured(verdict)))
    assert found("C27", matrix(a=guest)).standing is Standing.NOT_TESTED
