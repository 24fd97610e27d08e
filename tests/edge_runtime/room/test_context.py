"""What the room is doing: by timetable, by command, over a restart; and what it changes about a face."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.room.context import PRIOR, READING, ContextPrior, RoomContext, reading_in
from edge_runtime.timetable import ACTIVITIES, parse_row

ROWS = (parse_row("mon 9:00-9:45 lecture"), parse_row("mon 9:45-10:00 break"))
IN_LECTURE = datetime(2026, 11, 23, 9, 10)  # a Monday
AT_NIGHT = IN_LECTURE + timedelta(hours=14)
READINGS = ("frustration", "interest", "calm")


def test_the_timetable_holds_until_somebody_says_otherwise_and_again_after_auto():
    context = RoomContext(ROWS)
    assert context.in_force(IN_LECTURE) == "lecture"
    assert context.in_force(AT_NIGHT) is None
    context.set("exam")
    assert context.in_force(IN_LECTURE) == context.in_force(AT_NIGHT) == "exam"
    context.set("auto")
    assert context.in_force(IN_LECTURE) == "lecture"


def test_a_clock_that_jumps_is_followed_and_breaks_nothing():
    context = RoomContext(ROWS)
    moments = (IN_LECTURE, IN_LECTURE + timedelta(days=365 * 50), datetime(1970, 1, 1), IN_LECTURE)
    assert [context.in_force(moment) for moment in moments][::3] == ["lecture", "lecture"]


@pytest.mark.parametrize("word", ["", "Exam", "lesson", "none", "exam\n", "ON"])
def test_another_word_is_refused_and_changes_nothing(word):
    context = RoomContext(ROWS)
    context.set("task")
    with pytest.raises(ValueError, match="lecture, task, discussion, exam, break, auto"):
        context.set(word)
    assert context.in_force(IN_LECTURE) == "task"


def test_what_was_set_survives_a_restart_and_auto_is_remembered_too(tmp_path):
    memory = tmp_path / "room.context"
    RoomContext(ROWS, memory).set("discussion")
    assert RoomContext(ROWS, memory).in_force(IN_LECTURE) == "discussion"
    RoomContext(ROWS, memory).set("auto")
    assert RoomContext(ROWS, memory).in_force(IN_LECTURE) == "lecture"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("found", [b"", b"lunch", b"\xff\xfe"], ids=["empty", "another word", "no text"])
def test_a_memory_that_says_nothing_known_is_as_none(tmp_path, found):
    (tmp_path / "room.context").write_bytes(found)
    assert RoomContext(ROWS, tmp_path / "room.context").in_force(IN_LECTURE) == "lecture"


def test_an_activity_that_cannot_be_remembered_is_in_force_all_the_same(tmp_path, caplog):
    context = RoomContext(ROWS, tmp_path / "missing" / "room.context")
    context.set("exam")
    assert context.in_force(IN_LECTURE) == "exam"
    assert "cannot be kept" in caplog.text


def test_the_prior_worked_out_by_hand():
    # In a task: frustration has no weight of its own (1), interest 0.8, calm 1.25.
    row = np.array([[0.5, 0.25, 0.25]], np.float32)
    total = 0.5 + 0.25 * 0.8 + 0.25 * 1.25
    expected = [[0.5 / total, 0.2 / total, 0.3125 / total]]
    np.testing.assert_allclose(ContextPrior(READINGS).apply(row, "task"), expected, rtol=1e-6)


def test_without_an_activity_the_prior_changes_nothing():
    row = np.array([[0.5, 0.25, 0.25]], np.float32)
    np.testing.assert_array_equal(ContextPrior(READINGS).apply(row, None), row)


@given(
    st.sampled_from(ACTIVITIES),
    st.lists(st.floats(0.0, 1.0, width=32), min_size=3, max_size=3).filter(lambda row: sum(row) > 0.01),
)
def test_re_weighted_probabilities_sum_to_one_and_the_odds_change_by_the_tables_ratio(activity, weights):
    row = np.array([weights], np.float32) / np.float32(sum(weights))
    (told,) = ContextPrior(READINGS).apply(row, activity)
    assert told.sum() == pytest.approx(1, abs=1e-5)
    table = PRIOR[activity]
    ratio = table.get("frustration", 1.0) / table.get("calm", 1.0)
    assert told[0] * row[0, 2] == pytest.approx(ratio * told[2] * row[0, 0], abs=1e-5)


def test_nobody_is_re_weighted_to_nobody():
    assert ContextPrior(READINGS).apply(np.empty((0, 3), np.float32), "exam").shape == (0, 3)


def test_there_is_a_table_for_every_activity_and_no_face_is_overruled():
    assert set(PRIOR) == set(READING) == set(ACTIVITIES)
    weights = [weight for table in PRIOR.values() for weight in table.values()]
    assert 0.66 < min(weights) <= max(weights) <= 1.5


@pytest.mark.parametrize(
    ("activity", "reading", "told"),
    [
        ("task", "frustration", "thinking"),  # P1 §3.3
        ("exam", "frustration", "thinking"),
        ("lecture", "frustration", "frustration"),
        ("break", "interest", "satisfaction"),  # P1 §4, 1)
        ("discussion", "boredom", "dissatisfaction"),  # P1 §4, 5)
        ("task", "anxiety", "anxiety"),
        (None, "frustration", "frustration"),
    ],
)
def test_the_reading_for_learning_changes_with_the_activity(activity, reading, told):
    assert reading_in(activity, reading) == told


def test_the_documented_tables_are_those_in_force(repository: Path):
    rows = [
        [cell.strip() for cell in row.strip("| ").split("|")]
        for row in (repository / "docs" / "room.md").read_text("utf-8").splitlines()
        if row.startswith("|")
    ]
    names = next(row for row in rows if row[-1] == "anxiety")[-7:]
    shown = {row[0]: row[1:] for row in rows if len(row) == 8 and row[0] in ACTIVITIES}
    assert {name for table in PRIOR.values() for name in table} <= set(names)
    assert shown == {
        activity: [f"{PRIOR[activity].get(name, 1):g}" for name in names] for activity in ACTIVITIES
    }
    told = {
        (activity, row[1]): row[2]
        for row in rows
        if len(row) == 3
        for activity in row[0].split(", ")
        if row[1]
    }
    for activity, table in READING.items():
        for reading, becomes in table.items():
            assert told[activity, reading] == becomes
