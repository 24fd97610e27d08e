"""How checks are done: side by side, in chains, within their time."""

from __future__ import annotations

import threading

import pytest
from rich.console import Console

from edge_runtime.errors import SourceError
from edge_runtime.provisioning.doctor.check import Check, Finding, Status, fail, ok, skipped, warn
from edge_runtime.provisioning.doctor.examination import Group, examine
from edge_runtime.provisioning.doctor.report import table


def raising(error: Exception):
    def run() -> Finding:
        raise error

    return run


def statuses(*checks: Check) -> list[str]:
    return [str(line.finding.status) for line in examine([Group("group", checks)]).lines]


def test_what_stands_behind_a_failure_is_skipped_and_names_it() -> None:
    checks = [
        Check("name", "name lookup", lambda: fail("unknown", "spell it right")),
        Check("tcp", "connection", lambda: ok("never reached"), needs=("name",)),
        Check("tls", "TLS", lambda: ok("never reached"), needs=("tcp",)),
        Check("other", "other", lambda: ok("needs nothing")),
    ]
    report = examine([Group("broker", checks)])
    assert [str(line.finding.status) for line in report.lines] == ["fail", "skipped", "skipped", "ok"]
    assert report.lines[2].finding.what == "needs: name lookup"


def test_what_was_not_needed_stops_nobody() -> None:
    assert statuses(
        Check("tls", "TLS", lambda: skipped("not used")),
        Check("mqtt", "broker", lambda: ok("in"), needs=("tls",)),
    ) == ["skipped", "ok"]


def test_our_own_errors_are_findings_with_their_hints() -> None:
    error = SourceError("0", "is busy", hint="end that program")
    finding = examine([Group("group", [Check("camera", "camera", raising(error))])]).lines[0].finding
    assert (finding.status, finding.what, finding.next_step) == (
        Status.FAIL,
        "source 0: is busy",
        "end that program",
    )


def test_a_check_that_stumbles_costs_the_others_nothing() -> None:
    assert statuses(Check("a", "a", raising(KeyError("x"))), Check("b", "b", lambda: ok("fine"))) == [
        "fail",
        "ok",
    ]


def test_a_check_that_hangs_is_given_up() -> None:
    never = threading.Event()
    hanging = Check("dns", "name", lambda: never.wait(30) or ok("late"), limit_s=0.2)  # type: ignore[arg-type]
    assert statuses(hanging, Check("b", "b", lambda: ok("fine"))) == ["fail", "ok"]
    never.set()


def test_groups_run_side_by_side_and_are_reported_in_order_and_closed() -> None:
    meet, closed = threading.Barrier(2, timeout=10), []
    groups = [
        Group(name, [Check(name, name, lambda: ok(str(meet.wait())))], lambda name=name: closed.append(name))
        for name in ("first", "second")
    ]
    done: list[str] = []
    report = examine(groups, done.append)
    assert [line.group for line in report.lines] == ["first", "second"]
    assert sorted(closed) == sorted(done) == ["first", "second"]
    assert report.worst is Status.OK


@pytest.mark.parametrize(
    ("findings", "worst", "code", "strict_code"),
    [
        pytest.param([], "ok", 0, 0, id="nothing"),
        pytest.param([ok("a"), skipped("b")], "ok", 0, 0, id="skipped does not count"),
        pytest.param([ok("a"), warn("b", "c")], "warn", 0, 1, id="a warning"),
        pytest.param([warn("b", "c"), fail("d", "e")], "fail", 1, 1, id="a failure"),
    ],
)
def test_the_worst_line_decides(findings: list[Finding], worst: str, code: int, strict_code: int) -> None:
    report = examine([Group("group", [Check("all", "all", lambda: findings)])])
    assert (report.worst, report.exit_code(), report.exit_code(strict=True)) == (worst, code, strict_code)


def test_a_warning_without_a_next_step_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="what to do next"):
        warn("too hot", "")


def test_the_table_shows_findings_as_they_are_and_their_next_steps() -> None:
    finding = fail("broker [::1]:1883 refuses", "edit [mqtt]")
    report = examine([Group("broker", [Check("mqtt", "broker", lambda: finding)])])
    console = Console(record=True, width=100)
    console.print(table(report))
    text = console.export_text()
    assert "broker [::1]:1883 refuses" in text
    assert "→ edit [mqtt]" in text
    assert "✗ fail" in text
