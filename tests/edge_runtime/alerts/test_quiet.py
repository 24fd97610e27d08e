"""Quiet hours, over midnight and over time zones."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from edge_runtime.alerts.quiet import QuietHours, parse_minute

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


@pytest.mark.parametrize(
    ("moment", "is_quiet"),
    [
        ("2026-11-25 17:59", False),
        ("2026-11-25 18:00", True),
        ("2026-11-25 23:59", True),
        ("2026-11-26 00:00", True),
        ("2026-11-26 06:59", True),
        ("2026-11-26 07:00", False),
        ("2026-11-28 12:00", True),  # a Saturday
    ],
)
def test_hours_reach_over_midnight_and_days_are_quiet_throughout(moment: str, is_quiet: bool) -> None:
    hours = QuietHours(from_min=18 * 60, to_min=7 * 60, days=frozenset({5, 6}), zone=BERLIN)
    assert hours.covers(at(moment)) is is_quiet


def test_hours_within_a_day() -> None:
    hours = QuietHours(from_min=12 * 60, to_min=13 * 60, zone=BERLIN)
    assert [hours.covers(at(f"2026-11-25 {t}")) for t in ("11:59", "12:00", "13:00")] == [False, True, False]


def test_without_any_nothing_is_quiet() -> None:
    assert not QuietHours(zone=BERLIN).covers(at("2026-11-25 03:00"))


def test_they_are_local_on_both_sides_of_a_change_of_clocks() -> None:
    hours = QuietHours(from_min=18 * 60, to_min=7 * 60, zone=BERLIN)
    assert hours.covers(at("2026-10-25 06:30"))  # clocks went back that night
    assert not hours.covers(at("2026-10-25 07:30"))


@pytest.mark.parametrize("text", ["", "24:00", "7", "7:60", "7:5", "seven"])
def test_what_is_no_time_of_the_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no time of the day"):
        parse_minute(text)
