"""The table of servers: what each way to restart loses, on which kernel, with which setting."""

from collections.abc import Mapping

from test_report import matrix, word

from harness.matrix import Matrix
from harness.model import Cell, Judgement, State
from harness.report import markdown, server_table
from harness.report.grid import sections

MIGRATE = "net.ipv4.tcp_migrate_req=1"


def asked(server: str, way: str, traffic: str = "heavy", **more: str) -> Cell:
    return Cell.at("restart", server=server, restart=way, traffic=traffic, **more)


def table(more: Mapping[tuple[str, Cell], Judgement] | None = None) -> Matrix:
    return matrix(
        {
            ("g", asked("a", "reload")): word("lossless"),
            ("g", asked("b", "reload")): word("reset:24/20000"),
            ("g", asked("b", "reload", "light")): word("reset:2/20000"),
            ("g", asked("b", "reload", tunables=MIGRATE)): word("lossless"),
            ("g", asked("b", "kill")): word("down:1006"),
            ("g", asked("c", "reload")): Judgement(State.INCONCLUSIVE, why="it | died"),
            ("g", asked("d", "reload")): Judgement(State.NOT_APPLICABLE, why="no d here"),
            **(more or {}),
        },
        g={"system": "Linux", "release": "6.1"},
    )


def test_each_way_has_a_row_and_each_setting_a_column() -> None:
    found = [*server_table.page(table())]
    assert (
        found[0]
        == r"| server | restarts by | Linux 6.1<br>as found | Linux 6.1<br>tcp\_migrate\_req=1 |"
    )
    assert "| a | reload | ✓ lossless | · |" in found
    assert "| b | reload | ✗ reset 24 of 20000<br>light: ✗ reset 2 of 20000 | ✓ lossless |" in found
    assert "| b | kill | ✗ down 1006 ms | · |" in found
    assert "| c | reload | ~ inconclusive | · |" in found
    assert len(found) == 7


def test_in_brief_what_loses_nothing_is_only_named() -> None:
    few = Judgement(State.MEASURED, "reset:2/20000", statistics={"lost_share": 0.0001})
    more = {
        ("g", asked("e", "reload")): few,
        ("g", asked("e", "kill")): word("delayed:7/20000"),
        ("g", asked("e", "kill", "light")): word("reset:24/20000"),
    }
    found = [*server_table.page(table(more), brief=True)]
    assert found[2:] == [
        "| b | reload<br>kill | ✗ reset 24 of 20000<br>✗ down 1006 ms | ✓ lossless<br>· |",
        "",
        "Fewer than 1 of 2000 were lost: e (reload).",
        "Nothing was lost: a (reload).",
        "Some were late, none was lost: e (kill).",
    ]


def test_a_run_without_servers_has_no_table() -> None:
    assert [*server_table.page(matrix({}))] == []
    assert "as found" not in markdown.render(matrix({}))


def test_the_report_has_the_table_and_a_section_for_each_server() -> None:
    said = markdown.render(table())
    assert "| a | reload | ✓ lossless | · |" in said
    assert [one.title for one in sections(table())] == [f"restart {name}" for name in "abcd"]
    assert "**restart b**" in said
