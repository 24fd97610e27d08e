"""The script: moods that change, smoothly and reproducibly."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from edge_runtime.frames.simulation.controls import CONTROL_INDEX, EXPRESSIONS
from edge_runtime.frames.simulation.lesson import (
    LABEL_FROM,
    PHASES,
    Student,
    phase_at,
    the_one_who_leaves,
    unfold,
)

LESSON_S = 300.0


def students(count, seed=3):
    return [Student(seed, number, lesson_s=LESSON_S) for number in range(count)]


@pytest.mark.parametrize(
    ("time_s", "expected"),
    [
        pytest.param(-1.0, 0.0, id="before"),
        pytest.param(0.0, 0.0, id="begin of the onset"),
        pytest.param(0.5, 0.5, id="middle of the onset"),
        pytest.param(1.0, 1.0, id="begin of the apex"),
        pytest.param(2.9, 1.0, id="apex"),
        pytest.param(4.0, 0.5, id="middle of the offset"),
        pytest.param(5.0, 0.0, id="end of the offset"),
        pytest.param(99.0, 0.0, id="after"),
    ],
)
def test_an_expression_rises_stays_and_falls(time_s, expected):
    assert unfold(time_s, 1.0, 2.0, 2.0) == pytest.approx(expected)


def test_the_phases_fill_the_lesson_in_order_and_it_starts_again():
    assert sum(phase.share for phase in PHASES) == pytest.approx(1.0)
    seen = [phase_at(time_s, LESSON_S).name for time_s in np.arange(0, LESSON_S, 5)]
    assert list(dict.fromkeys(seen)) == ["arrival", "lecture", "hard task", "break-through", "tired"]
    assert phase_at(LESSON_S + 1, LESSON_S) is phase_at(1, LESSON_S)


def test_a_student_is_a_pure_function_of_time():
    times = [3.0, 250.0, 17.5, 17.5, 90.0, 3.0]
    wandering, fresh = Student(5, 2, lesson_s=LESSON_S), None
    for time_s in times:
        fresh = Student(5, 2, lesson_s=LESSON_S)
        seen, expected = wandering.at(time_s), fresh.at(time_s)
        np.testing.assert_array_equal(seen.controls, expected.controls)
        assert (seen.pose, seen.label, seen.valence) == (expected.pose, expected.label, expected.valence)


def test_nothing_jumps_between_two_frames():
    # At 25 frames/s the fastest motion is a blink: 0.32 s for closing and opening, 0.4 of the way a frame.
    for student in students(3):
        states = [student.at(time_s) for time_s in np.arange(0, 60, 0.04)]
        controls = np.array([state.controls for state in states])
        steps = np.abs(np.diff(controls, axis=0)).max(axis=0)
        assert steps[CONTROL_INDEX["eyes_closed"]] < 0.45
        assert np.delete(steps, CONTROL_INDEX["eyes_closed"]).max() < 0.2
        angles = np.array([(s.pose.yaw_deg, s.pose.pitch_deg, s.pose.roll_deg) for s in states])
        assert np.abs(np.diff(angles, axis=0)).max() < 4.0


def test_a_label_stands_exactly_while_its_expression_has_unfolded_far_enough():
    for student in students(4):
        for time_s in np.arange(0, 120, 0.2):
            state = student.at(time_s)
            assert (state.label != "neutral") == (state.intensity >= LABEL_FROM)


def test_everybody_blinks_and_nobody_keeps_their_eyes_shut():
    times = np.arange(0, 40, 0.04)
    for student in students(4):
        shut = np.array([student.at(t).controls[CONTROL_INDEX["eyes_closed"]] for t in times]) > 0.9
        assert 5 <= np.count_nonzero(np.diff(shut.astype(int)) == 1) <= 12
        assert shut.mean() < 0.1


def test_the_mood_of_the_room_follows_the_script():
    counts = {phase.name: Counter() for phase in PHASES}
    valence = {phase.name: [] for phase in PHASES}
    for student in students(24):
        for time_s in np.arange(0, LESSON_S, 2.5):
            state, phase = student.at(time_s), phase_at(time_s, LESSON_S).name
            counts[phase][state.label] += 1
            valence[phase].append(state.valence)
    assert set().union(*counts.values()) == set(EXPRESSIONS)
    favourite = {name: max(EXPRESSIONS[:-1], key=c.__getitem__) for name, c in counts.items()}
    assert favourite["arrival"] == favourite["break-through"] == "happy"
    assert counts["break-through"]["happy"] > 0.35 * counts["break-through"].total()
    assert favourite["tired"] == "sad"
    unpleasant = {
        name: sum(c[x] for x in ("angry", "fear", "sad", "disgust")) / c.total() for name, c in counts.items()
    }
    assert max(unpleasant, key=unpleasant.get) == "hard task"
    mean = {name: np.mean(values) for name, values in valence.items()}
    assert mean["break-through"] > mean["arrival"] > mean["lecture"] > mean["hard task"]


def test_students_differ_in_temperament_and_turn_their_heads():
    group = students(12)
    assert len({student.temperament for student in group}) == 12
    yaws = [abs(student.at(t).pose.yaw_deg) for student in group for t in np.arange(0, 120, 0.5)]
    pitches = [student.at(t).pose.pitch_deg for student in group for t in np.arange(0, 120, 0.5)]
    assert max(yaws) > 20
    assert max(pitches) > 15
    assert np.median(yaws) < 6


@pytest.mark.parametrize("seed", range(5))
def test_one_student_leaves_and_returns_within_every_lesson(seed):
    leaver = Student(seed, 0, lesson_s=LESSON_S, leaves=True)
    for lesson in range(2):
        there = [leaver.at(lesson * LESSON_S + t).present for t in np.arange(0, LESSON_S, 1.0)]
        changes = np.flatnonzero(np.diff(np.array(there, int)))
        assert there[0]
        assert there[-1]
        assert len(changes) == 2


@pytest.mark.parametrize(
    ("count", "leaves"),
    [pytest.param(1, False, id="alone"), pytest.param(2, True, id="two"), pytest.param(24, True, id="class")],
)
def test_somebody_leaves_unless_the_room_would_be_empty(count, leaves):
    who = the_one_who_leaves(7, count)
    assert (who is not None) == leaves
    assert who is None or 0 <= who < count
