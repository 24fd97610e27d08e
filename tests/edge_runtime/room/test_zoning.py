"""Zones, from boxes in a picture to what a window may tell: who counts where, and who is left alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.config import DeploymentSection
from edge_runtime.room.aggregation import WindowAggregator
from edge_runtime.room.privacy import protect
from edge_runtime.room.window import Band, ProtectedZone
from edge_runtime.room.zoning import TEACHER, RoomZones, tells_teacher
from edge_runtime.room_sections import ZonesSection
from edge_runtime.zones import OUTSIDE

LEFT = ((0.0, 0.3), (0.5, 0.3), (0.5, 1.0), (0.0, 1.0))
RIGHT = ((0.5, 0.3), (1.0, 0.3), (1.0, 1.0), (0.5, 1.0))
DESK = ((0.4, 0.0), (0.6, 0.0), (0.6, 0.35), (0.4, 0.35))
IN_LEFT, IN_RIGHT = 1, 2


@dataclass(frozen=True)
class Label:
    name: str
    reading: str
    polarity: int
    valence: float
    arousal: float
    dominance: float | None = None


LABELS = (
    Label("happy", "interest", 1, 0.8, 0.5),
    Label("sad", "frustration", -1, -0.6, -0.3),
    Label("neutral", "calm", 0, 0.0, 0.0),
)
HAPPY, SAD, NEUTRAL = np.eye(3, dtype=np.float32)


def zones(*, students=True, teacher=True, reads_teacher=False):
    section = ZonesSection(
        students={"left": LEFT, "right": RIGHT} if students else {}, teacher=DESK if teacher else None
    )
    return RoomZones(section, reads_teacher=reads_teacher)


def boxes(*centres_px):
    centres = np.array(centres_px, np.float32).reshape(-1, 2)
    return np.hstack([centres - 20, centres + 20])


@pytest.mark.parametrize(
    ("made", "places"),
    [
        (zones(), [TEACHER, IN_LEFT, IN_RIGHT, OUTSIDE, TEACHER]),
        (zones(teacher=False), [OUTSIDE, IN_LEFT, IN_RIGHT, OUTSIDE, IN_LEFT]),
        (zones(students=False), [TEACHER, OUTSIDE, OUTSIDE, OUTSIDE, TEACHER]),
        (RoomZones(), [OUTSIDE] * 5),
    ],
    ids=["both", "students only", "teacher only", "none"],
)
def test_a_face_is_in_the_zone_that_holds_its_boxs_centre_and_the_teachers_comes_first(made, places):
    faces = boxes((500, 100), (100, 300), (900, 300), (50, 50), (490, 170))
    assert made.places(faces, 1000, 500).tolist() == places


@pytest.mark.parametrize(
    ("made", "are_students", "is_read"),
    [
        (zones(), [False, True, False], [False, True, False]),
        (zones(reads_teacher=True), [False, True, False], [True, True, False]),
        (zones(students=False), [False, True, True], [False, True, True]),
        (zones(students=False, reads_teacher=True), [False, True, True], [True, True, True]),
    ],
    ids=["zones", "zones and teacher", "no zones", "no zones and teacher"],
)
def test_who_counts_and_whose_face_is_touched_at_all(made, are_students, is_read):
    places = np.array([TEACHER, IN_LEFT, OUTSIDE], np.int64)
    assert made.are_students(places).tolist() == are_students
    assert made.is_read(places).tolist() == is_read


@pytest.mark.parametrize(
    ("agreement", "purpose", "told"),
    [
        ("", "research", False),
        ("  ", "research", False),
        ("works agreement of 2026-09-01", "research", True),
        ("", "simulation", True),
    ],
)
def test_the_teacher_is_told_by_written_agreement_or_in_simulation(agreement, purpose, told):
    assert tells_teacher(DeploymentSection(teacher_agreement=agreement, purpose=purpose)) is told


def window_of(made, moments):
    """`moments`: list of {track: (place, probabilities)}; one per second, everybody there for long."""
    room = WindowAggregator(LABELS, window_s=60.0, min_track_s=0.0, zones=made)
    for now_s, faces in enumerate(moments):
        room.observe_frame(float(now_s), len(faces))
        ids = np.array(list(faces), np.int64)
        places = np.array([place for place, _ in faces.values()], np.int64)
        room.observe_places(ids, places)
        read = made.is_read(places)
        rows = np.array([row for _, row in faces.values()], np.float32).reshape(-1, 3)
        room.observe_probabilities(float(now_s), ids[read], np.full(read.sum(), 30.0), rows[read])
    return room.flush()


def class_of(left, right, teacher=None):
    """One moment: so many happy students on the left, so many sad ones on the right."""
    faces = dict.fromkeys(range(left), (IN_LEFT, HAPPY))
    faces |= {100 + number: (IN_RIGHT, SAD) for number in range(right)}
    return faces | ({} if teacher is None else {999: (TEACHER, teacher)})


def test_zones_and_room_worked_out_by_hand():
    window = window_of(zones(), [class_of(3, 1)])
    np.testing.assert_allclose(window.shares, [0.75, 0.25, 0])
    assert (window.seen, window.readable) == (4, 4)
    left, right = window.zones["left"], window.zones["right"]
    assert (left.readable, right.readable) == (3, 1)
    np.testing.assert_allclose([left.shares, right.shares], [HAPPY, SAD])
    assert (left.valence, right.arousal) == pytest.approx((0.8, -0.3))
    # 3/4 of √(0.8² + 0.5²) and 1/4 of √(0.6² + 0.3²)
    assert window.intensity == pytest.approx(0.75 * 0.89**0.5 + 0.25 * 0.45**0.5)


def test_a_student_belongs_to_the_zone_of_most_moments():
    window = window_of(
        zones(), [{1: (IN_LEFT, HAPPY)}, {1: (IN_RIGHT, HAPPY)}, {1: (IN_RIGHT, HAPPY)}, {2: (IN_LEFT, SAD)}]
    )
    assert [zone.readable for zone in window.zones.values()] == [1, 1]
    np.testing.assert_allclose(window.zones["right"].shares, HAPPY)


def test_who_walks_through_a_zone_and_is_outside_most_of_the_time_counts_nowhere():
    window = window_of(zones(), [{1: (OUTSIDE, HAPPY)}, {1: (OUTSIDE, HAPPY)}, {1: (IN_LEFT, HAPPY)}])
    assert (window.readable, window.zones["left"].readable) == (0, 0)
    assert window.seen == 1


@pytest.mark.parametrize("reads_teacher", [False, True])
def test_the_teacher_is_never_part_of_the_rooms_shares(reads_teacher):
    window = window_of(zones(students=False, reads_teacher=reads_teacher), [class_of(4, 0, teacher=SAD)])
    np.testing.assert_allclose(window.shares, HAPPY)
    assert (window.seen, window.readable) == (5, 4)
    assert (window.teacher_shares is not None) is reads_teacher


def test_two_students_who_take_turns_on_one_chair_are_one_person_of_the_zone():
    window = window_of(zones(), [{1: (IN_LEFT, HAPPY)}, {2: (IN_LEFT, HAPPY)}])
    assert window.zones["left"].readable == 1


# What may leave


def told_of(left, right, min_group=5, **arguments):
    window = window_of(zones(reads_teacher=True), [class_of(left, right, teacher=HAPPY)])
    return protect(window, LABELS, min_group, **arguments)


def test_each_zone_tells_its_own_people():
    told = told_of(8, 6)
    assert told.zones == {
        "left": ProtectedZone(False, Band(5, 9), 1.0, 0.0, 0.8, 0.5),
        "right": ProtectedZone(False, Band(5, 9), 0.0, 1.0, -0.6, -0.3),
    }


def test_a_zone_with_few_people_is_suppressed_and_with_it_the_one_that_would_give_it_away():
    # Of 8 + 3 people the room's shares are known; were the left told, the right would be the difference.
    told = told_of(8, 3)
    assert not told.suppressed
    assert told.zones == {"left": ProtectedZone(True, Band(5, 9)), "right": ProtectedZone(True, Band(1, 4))}


def test_an_empty_zone_gives_nobody_away():
    told = told_of(8, 0)
    assert [zone.suppressed for zone in told.zones.values()] == [False, True]


def test_a_suppressed_room_has_no_zones():
    assert told_of(2, 2).zones == {}
    assert told_of(2, 2).teacher_activity is None


def test_of_three_zones_the_smallest_that_could_be_told_hides_the_one_that_may_not():
    section = ZonesSection(
        students=dict.fromkeys(("front", "middle", "back"), LEFT)  # where they lie does not matter here
    )
    faces = {}
    for place, count in ((1, 9), (2, 6), (3, 2)):
        faces |= {100 * place + number: (place, HAPPY) for number in range(count)}
    told = protect(window_of(RoomZones(section), [faces]), LABELS, 5)
    assert {name: zone.suppressed for name, zone in told.zones.items()} == {
        "front": False,
        "middle": True,
        "back": True,
    }


@given(counts=st.lists(st.integers(0, 20), min_size=1, max_size=6), min_group=st.integers(1, 10))
def test_whatever_the_zones_nobody_can_subtract_down_to_a_few_people(counts, min_group):
    section = ZonesSection(students={f"z{number}": LEFT for number in range(len(counts))})
    faces = {
        1000 * zone + number: (zone + 1, HAPPY)
        for zone, count in enumerate(counts)
        for number in range(count)
    }
    told = protect(window_of(RoomZones(section), [faces]), LABELS, min_group)
    hidden = [count for zone, count in zip(told.zones.values(), counts, strict=False) if zone.suppressed]
    assert all(
        count >= min_group
        for zone, count in zip(told.zones.values(), counts, strict=False)
        if not zone.suppressed
    )
    if any(not zone.suppressed for zone in told.zones.values()):
        assert sum(hidden) == 0 or sum(hidden) >= min_group


@pytest.mark.parametrize(("tells_teacher", "told"), [(False, None), (True, 1.0)])
def test_the_teachers_activity_needs_a_second_yes_at_the_privacy_stage(tells_teacher, told):
    assert told_of(8, 6, tells_teacher=tells_teacher).teacher_activity == told


@pytest.mark.parametrize(
    ("teacher", "activity", "grade"),
    # Students: 10 happy, 5 sad → P 0.65, N 0.35 as published, balance 0.65. Teacher: balance 1, ½, 0.
    [(HAPPY, 0.65, "excellent"), (NEUTRAL, 0.45, "good"), (SAD, 0.0, "average")],
    ids=["happy", "neutral", "sad"],
)
def test_the_index_is_made_of_what_is_published(teacher, activity, grade):
    window = window_of(zones(reads_teacher=True), [class_of(10, 5, teacher=teacher)])
    told = protect(window, LABELS, 5, tells_teacher=True)
    assert (told.positive_activity, told.negative_activity) == (0.65, 0.35)
    assert (told.classroom_activity, told.grade) == (activity, grade)
