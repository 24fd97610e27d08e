"""Windows worked out by hand: who counts, how often, and when a window ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.room.aggregation import WindowAggregator


@dataclass(frozen=True)
class Values:
    valence: float
    arousal: float
    dominance: float | None = None


LABELS = (Values(1.0, 0.5), Values(-1.0, 0.0), Values(0.0, -0.5))
HAPPY, SAD, CALM = np.eye(3, dtype=np.float32)


def aggregator(window_s=10.0, min_track_s=1.0):
    return WindowAggregator(LABELS, window_s=window_s, min_track_s=min_track_s)


def feed(room, now_s, faces, seen=None):
    """`faces`: track → (age, probabilities)."""
    closed = room.observe_frame(now_s, len(faces) if seen is None else seen)
    ages = np.array([age for age, _ in faces.values()], np.float64)
    rows = np.array([row for _, row in faces.values()], np.float32).reshape(-1, 3)
    room.observe_probabilities(now_s, np.array(list(faces), np.int64), ages, rows)
    return closed


def test_a_window_worked_out_by_hand():
    room = aggregator()
    # Track 1: happy, then half happy half sad → (0.75, 0.25, 0). Track 2: calm throughout → (0, 0, 1).
    feed(room, 100.0, {1: (5.0, HAPPY), 2: (5.0, CALM)}, seen=4)
    feed(room, 101.0, {1: (6.0, (HAPPY + SAD) / 2), 2: (6.0, CALM)}, seen=3)
    window = room.observe_frame(110.0, 0)
    assert (window.start_s, window.end_s, window.is_partial) == (100.0, 110.0, False)
    np.testing.assert_allclose(window.shares, [0.375, 0.125, 0.5])
    assert window.valence == pytest.approx(0.375 - 0.125)
    assert window.arousal == pytest.approx(0.375 * 0.5 - 0.5 * 0.5)
    assert window.confidence == pytest.approx(((1.0 + 0.5) / 2 + 1.0) / 2)
    assert (window.seen, window.readable, window.frames) == (4, 2, 2)


def test_who_is_classified_more_often_does_not_count_more():
    room = aggregator()
    feed(room, 0.0, {1: (5.0, HAPPY), 2: (5.0, SAD)})
    for step in range(1, 9):
        feed(room, float(step), {1: (5.0 + step, HAPPY)})
    np.testing.assert_allclose(room.flush().shares, [0.5, 0.5, 0])


@pytest.mark.parametrize(
    ("min_track_s", "ages", "readable"),
    [
        pytest.param(1.0, (0.0, 0.5), 0, id="too short"),
        pytest.param(1.0, (0.0, 1.0), 1, id="just long enough"),
        pytest.param(1.0, (3.0, 3.5), 1, id="born before the window"),
        pytest.param(0.0, (0.0, 0.0), 1, id="no least time"),
        pytest.param(60.0, (20.0, 59.9), 0, id="a long least time"),
    ],
)
def test_a_face_seen_too_shortly_does_not_count(min_track_s, ages, readable):
    room = aggregator(min_track_s=min_track_s)
    for age in ages:
        feed(room, age - ages[0], {1: (age, HAPPY)})
    window = room.flush()
    assert window.readable == readable
    assert window.seen == 1
    assert window.shares.sum() == pytest.approx(readable)


def test_people_are_counted_at_one_moment_since_ids_may_be_issued_again():
    room = aggregator()
    feed(room, 0.0, {1: (5.0, HAPPY), 2: (5.0, HAPPY)})
    feed(room, 5.0, {3: (5.0, SAD), 4: (5.0, SAD)})
    window = room.flush()
    assert (window.seen, window.readable) == (2, 2)
    np.testing.assert_allclose(window.shares, [0.5, 0.5, 0])


def test_faces_that_nobody_could_read_are_seen_but_have_no_shares():
    room = aggregator()
    room.observe_frame(0.0, 12)
    window = room.flush()
    assert (window.seen, window.readable) == (12, 0)
    np.testing.assert_array_equal(window.shares, 0)
    assert (window.valence, window.arousal, window.confidence) == (0, 0, 0)


def test_a_window_of_an_empty_room_says_so():
    room = aggregator()
    room.observe_frame(0.0, 0)
    window = room.observe_frame(10.0, 0)
    assert (window.seen, window.readable, window.frames) == (0, 0, 1)


def test_the_frame_that_closes_a_window_belongs_to_the_next_one():
    room = aggregator()
    room.observe_frame(0.0, 1)
    assert room.observe_frame(9.999, 2) is None
    assert room.observe_frame(10.0, 30).seen == 2
    assert room.flush().seen == 30


def test_a_track_counts_in_each_window_with_the_moments_of_that_window():
    room = aggregator()
    feed(room, 0.0, {1: (5.0, HAPPY)})
    first = feed(room, 10.0, {1: (15.0, SAD)})
    np.testing.assert_allclose(first.shares, HAPPY)
    np.testing.assert_allclose(room.flush().shares, SAD)


@pytest.mark.parametrize(
    ("after", "start"), [(10.0, 10.0), (19.9, 10.0), (25.0, 20.0), (47.3, 40.0), (1000.0, 1000.0)]
)
def test_after_a_gap_windows_go_on_with_the_beat_of_the_first_one(after, start):
    room = aggregator()
    room.observe_frame(0.0, 1)
    closed = room.observe_frame(after, 2)
    assert (closed.start_s, closed.end_s) == (0.0, 10.0)
    rest = room.flush()
    assert rest.start_s == start
    assert rest.seen == 2


def test_time_that_passes_without_a_frame_closes_a_window_once_and_makes_no_empty_ones():
    room = aggregator()
    room.observe_frame(3.0, 5)
    assert room.advance(12.9) is None
    assert room.advance(13.0).end_s == 13.0
    assert [room.advance(now) for now in (23.0, 33.0, 95.0)] == [None, None, None]
    room.observe_frame(96.0, 1)
    assert room.flush().start_s == 93.0


@pytest.mark.parametrize(
    ("times", "start_s", "end_s", "is_partial"),
    [
        pytest.param([50, 51, 52, 53, 54], 50, 55, True, id="one interval after the last frame"),
        pytest.param([50, 50.5, 52], 50, 53, True, id="the mean interval"),
        pytest.param(range(50, 60), 50, 60, False, id="a window that was full anyway"),
        pytest.param([50, 59], 50, 60, False, id="never beyond the window"),
        pytest.param([50], 50, 50.001, True, id="a single photograph"),
        pytest.param([50, 65, 66], 60, 67, True, id="frames that came late in their window"),
    ],
)
def test_a_flush_gives_the_part_that_there_is(times, start_s, end_s, is_partial):
    room = aggregator()
    for now_s in times:
        room.observe_frame(float(now_s), 3)
    window = room.flush()
    assert (window.start_s, window.end_s, window.is_partial) == (start_s, pytest.approx(end_s), is_partial)


def test_after_a_flush_there_is_nothing_until_the_next_frame():
    room = aggregator()
    room.observe_frame(54.0, 1)
    assert room.flush() is not None
    assert room.flush() is None
    room.observe_frame(2.0, 1)  # another film: its clock begins anew
    assert room.flush().start_s == 2.0


def test_before_the_first_frame_there_is_no_window():
    room = aggregator()
    assert room.advance(1e9) is None
    assert room.flush() is None


@given(
    moments=st.lists(
        st.lists(
            st.tuples(st.integers(0, 5), st.lists(st.floats(0.01, 1), min_size=3, max_size=3)), max_size=6
        ),
        max_size=12,
    )
)
def test_shares_sum_to_one_or_nobody_counted(moments):
    room = aggregator(min_track_s=0.0, window_s=1000)
    for step, rows in enumerate(moments):
        feed(room, float(step), {track: (1.0, np.array(row) / sum(row)) for track, row in rows})
    window = room.flush()
    if window is None:
        assert not moments
        return
    assert window.readable <= window.seen
    assert window.shares.sum() == pytest.approx(1 if window.readable else 0)
    assert window.shares.min() >= 0
    assert -1 <= window.valence <= 1
    assert 0 <= window.confidence <= 1


def test_the_windows_activity_is_the_one_of_most_frames():
    room = aggregator()
    for now_s, activity in enumerate(["lecture", "task", "task", None]):
        room.observe_frame(float(now_s), 0, activity)
    assert room.flush().context == "task"
    room.observe_frame(10.0, 0)
    assert room.flush().context is None


@pytest.mark.parametrize(
    ("dominance", "told"),
    [((0.4, -0.4, 0.2), 0.25 * 0.4 + 0.5 * -0.4 + 0.25 * 0.2), ((0.4, None, 0.2), None)],
    ids=["a whole table", "a table with a gap"],
)
def test_dominance_is_told_when_every_label_has_one(dominance, told):
    labels = [
        Values(label.valence, label.arousal, value) for label, value in zip(LABELS, dominance, strict=True)
    ]
    room = WindowAggregator(labels, window_s=10.0, min_track_s=0.0)
    feed(room, 0.0, {1: (5.0, HAPPY), 2: (5.0, SAD), 3: (5.0, SAD), 4: (5.0, CALM)})
    window = room.flush()
    assert window.dominance == (None if told is None else pytest.approx(told))
