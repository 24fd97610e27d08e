"""The timetable: rows as people write them, what they contradict, and what holds at which moment."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from edge_runtime.timetable import activity_at, check_overlaps, parse_row

MONDAY = datetime(2026, 11, 23)


@pytest.mark.parametrize(
    ("text", "days", "start_min", "end_min", "activity"),
    [
        ("mon 9:00-9:45 lecture", {0}, 540, 585, "lecture"),
        ("mon-fri 10:00-10:15 break", {0, 1, 2, 3, 4}, 600, 615, "break"),
        ("mon,wed,fri 08:00-08:45 task", {0, 2, 4}, 480, 525, "task"),
        ("tue,thu-sat 8:00 - 9:00 exam", {1, 3, 4, 5}, 480, 540, "exam"),
        ("sat-mon 0:00-24:00 discussion", {5, 6, 0}, 0, 1440, "discussion"),
        ("  MON  9:00-9:45  Lecture ", {0}, 540, 585, "lecture"),
    ],
)
def test_rows_are_read_as_people_write_them(text, days, start_min, end_min, activity):
    row = parse_row(text)
    assert (row.days, row.start_min, row.end_min, row.activity) == (days, start_min, end_min, activity)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is no row"),
        ("mon 9-10 lecture", "is no row"),
        ("mon 9:00 lecture", "is no row"),
        ("9:00-9:45 lecture", "is no row"),
        ("mon 9:00-9:45", "is no row"),
        ("mon 9:00-9:45 assembly", "assembly is not one of lecture, task, discussion, exam, break"),
        ("monday 9:00-9:45 lecture", "monday is no day"),
        ("mon, 9:00-9:45 lecture", "nothing is no day"),
        ("mon-wed-fri 9:00-9:45 lecture", "is no day"),
        ("mon 9:00-9:60 lecture", "9:60 is no time"),
        ("mon 9:00-24:01 lecture", "24:01 is no time"),
        ("mon 9:45-9:00 lecture", "does not end after it begins"),
        ("mon 9:00-9:00 lecture", "does not end after it begins"),
        ("mon 23:00-1:00 lecture", "over midnight is two rows"),
    ],
)
def test_a_row_that_is_none_is_refused_and_repeated(text, says):
    with pytest.raises(ValueError, match=says) as caught:
        parse_row(text)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "clash"),
    [
        (["mon 9:00-10:00 lecture", "mon 10:00-11:00 task"], False),
        (["mon 9:00-10:00 lecture", "tue 9:00-10:00 task"], False),
        (["mon 9:00-10:00 lecture", "mon 9:59-11:00 task"], True),
        (["mon-fri 9:00-12:00 lecture", "wed 10:00-10:15 break"], True),
        (["mon 9:00-10:00 lecture", "mon 9:00-10:00 lecture"], True),
        (["sat-mon 9:00-10:00 lecture", "mon 9:00-10:00 exam"], True),
        ([], False),
    ],
)
def test_two_rows_for_one_moment_are_refused_by_name(rows, clash):
    parsed = [parse_row(text) for text in rows]
    if not clash:
        check_overlaps(parsed)
        return
    with pytest.raises(ValueError, match="overlap") as caught:
        check_overlaps(parsed)
    assert f"“{rows[0]}” and “{rows[1]}”" in str(caught.value)


def test_all_overlaps_are_named_at_once():
    rows = [parse_row(f"mon {hour}:00-{hour + 2}:00 task") for hour in (8, 9, 10)]
    with pytest.raises(ValueError, match=r"8:00-10:00 task” and .*; “mon 9:00-11:00 task” and"):
        check_overlaps(rows)


@pytest.mark.parametrize(
    ("after", "activity"),
    [
        (timedelta(hours=8, minutes=59, seconds=59), None),
        (timedelta(hours=9), "lecture"),
        (timedelta(hours=9, minutes=44, seconds=59), "lecture"),
        (timedelta(hours=9, minutes=45), "break"),
        (timedelta(hours=10), None),
        (timedelta(days=1, hours=9), None),
        (timedelta(days=7, hours=9), "lecture"),
    ],
)
def test_a_row_holds_from_its_first_to_before_its_last_minute_on_its_days(after, activity):
    rows = [parse_row("mon 9:00-9:45 lecture"), parse_row("mon 9:45-10:00 break")]
    assert activity_at(rows, MONDAY + after) == activity
