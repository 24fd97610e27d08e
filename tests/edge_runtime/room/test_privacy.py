"""What may leave: nothing about few people, rounded shares, banded counts, never anything of one face."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge_runtime.publishing.payloads import EmotionEvent, EventNumber
from edge_runtime.publishing.topics import Topics
from edge_runtime.room.index import grade_of
from edge_runtime.room.privacy import band, largest_remainder, protect
from edge_runtime.room.window import Band, ProtectedWindow, RoomWindow


@dataclass(frozen=True)
class Reading:
    name: str
    reading: str
    polarity: int = -1


LABELS = (Reading("angry", "frustration"), Reading("sad", "boredom"), Reading("disgust", "frustration"))


def window(readable=12, shares=(0.5, 0.3, 0.2), **changes):
    exact = RoomWindow(
        start_s=0.0,
        end_s=60.0,
        is_partial=False,
        seen=max(readable, 14),
        readable=readable,
        shares=np.array(shares, np.float64),
        valence=-0.312,
        arousal=0.488,
        confidence=0.771,
        frames=1500,
        intensity=0.59,
    )
    return replace(exact, **changes)


def test_a_window_worked_out_by_hand():
    told = protect(window(), LABELS, 10)
    assert told == ProtectedWindow(
        start_s=0.0,
        end_s=60.0,
        is_partial=False,
        frames=1500,
        suppressed=False,
        seen=Band(10, 14),
        readable=Band(10, 14),
        shares={"angry": 0.5, "sad": 0.3, "disgust": 0.2},
        readings={"frustration": 0.7, "boredom": 0.3},
        dominant="angry",
        valence=-0.3,
        arousal=0.5,
        confidence=0.75,
        positive_activity=0.0,
        negative_activity=1.0,
        classroom_activity=0.0,
        grade="average",
        intensity=0.6,
    )


@pytest.mark.parametrize(
    ("readable", "min_group", "suppressed"),
    [(0, 1, True), (1, 1, False), (9, 10, True), (10, 10, False), (4, 5, True), (5, 5, False), (0, 10, True)],
)
def test_fewer_than_the_group_are_suppressed(readable, min_group, suppressed):
    told = protect(window(readable), LABELS, min_group)
    assert told.suppressed is suppressed
    is_silent = not told.shares and not told.readings and told.dominant is None
    assert is_silent is suppressed
    assert (told.valence is None and told.arousal is None and told.confidence is None) is suppressed


@given(readable=st.integers(0, 9), shares=hnp.arrays(np.float64, 3, elements=st.floats(0, 1)))
def test_a_suppressed_window_is_the_same_whatever_the_few_people_feel(readable, shares):
    one = protect(window(readable, shares, valence=float(shares[0])), LABELS, 10)
    other = protect(window(readable, (0.1, 0.1, 0.8), confidence=0.1), LABELS, 10)
    assert one == other


@pytest.mark.parametrize(
    ("count", "min_group", "low", "high"),
    [
        (0, 10, 0, 0),
        (1, 10, 1, 9),
        (9, 10, 1, 9),
        (10, 10, 10, 14),
        (14, 10, 10, 14),
        (15, 10, 15, 19),
        (24, 10, 20, 24),
        (1, 1, 1, 5),
        (6, 1, 6, 10),
        (1, 2, 1, 1),
        (5, 5, 5, 9),
        (-1, 5, 0, 0),
    ],
)
def test_bands_worked_out_by_hand(count, min_group, low, high):
    assert band(count, min_group) == Band(low, high)


@given(count=st.integers(0, 2000), min_group=st.integers(1, 1000))
def test_a_band_contains_its_count_and_bands_neither_overlap_nor_leave_gaps(count, min_group):
    here, after = band(count, min_group), band(count + 1, min_group)
    assert here.low <= count <= here.high
    assert after == here or after.low == here.high + 1


shares_of_people = hnp.arrays(
    np.float64, st.integers(1, 9), elements=st.floats(0, 1, allow_subnormal=False)
).filter(lambda shares: shares.sum() > 1e-6)


@given(shares=shares_of_people, units=st.integers(1, 100))
def test_largest_remainders_sum_stay_near_and_keep_the_order(shares, units):
    whole = largest_remainder(shares, units)
    exact = shares / shares.sum() * units
    assert whole.sum() == units
    assert np.abs(whole - exact).max() < 1 + 1e-9  # Hamilton's method satisfies quota
    order = np.argsort(-shares, kind="stable")
    assert (np.diff(whole[order]) <= 0).all()


@pytest.mark.parametrize(
    ("shares", "units", "whole"),
    [
        # Three parties and ten seats: 4.16, 3.38, 2.46 → the seat over goes to the largest remainder, 0.46.
        ((0.416, 0.338, 0.246), 10, (4, 3, 3)),
        ((1 / 3, 1 / 3, 1 / 3), 20, (7, 7, 6)),
        ((1, 0, 0), 20, (20, 0, 0)),
        ((0.5, 0.5), 1, (1, 0)),
    ],
)
def test_largest_remainders_worked_out_by_hand(shares, units, whole):
    assert tuple(largest_remainder(np.array(shares), units)) == whole


@given(shares=hnp.arrays(np.float64, 3, elements=st.floats(0, 1, allow_subnormal=False)))
def test_shares_are_twentieths_that_sum_to_one_and_the_dominant_one_is_a_largest(shares):
    assume(shares.sum() > 1e-6)
    told = protect(window(shares=shares / shares.sum()), LABELS, 10)
    for table in (told.shares, told.readings):
        assert math.fsum(table.values()) == pytest.approx(1)
        for value in table.values():
            assert value * 20 == pytest.approx(round(value * 20), abs=1e-9)
            assert len(str(value)) <= 4  # 0.15, not 0.15000000000000002
    assert told.shares[told.dominant] == max(told.shares.values())


@pytest.mark.parametrize("value", [-0.0, -0.01, -0.02, 0.0, 0.024])
def test_small_negative_numbers_are_told_as_plain_zero(value):
    told = protect(window(valence=value, arousal=value), LABELS, 10)
    assert math.copysign(1, told.valence) == math.copysign(1, told.arousal) == 1
    assert told.valence == 0


@given(value=st.floats(-1, 1))
def test_rounded_values_are_twentieths_within_half_a_step(value):
    told = protect(window(valence=value), LABELS, 10)
    assert abs(told.valence - value) <= 0.025 + 1e-9
    assert len(f"{abs(told.valence)}") <= 4


@pytest.mark.parametrize("readable", [0, 12], ids=["suppressed", "told"])
def test_shares_and_labels_that_do_not_fit_are_never_paired(readable):
    with pytest.raises(ValueError, match="3 shares, but 2 labels"):
        protect(window(readable), LABELS[:2], 10)


@pytest.mark.parametrize("min_group", [0, -5])
def test_a_group_of_nobody_is_refused(min_group):
    with pytest.raises(ValueError, match="at least 1"):
        protect(window(), LABELS, min_group)


def test_a_protected_window_has_room_for_aggregates_only():
    # Whoever adds a field here answers for what it tells about a single person.
    names = {field.name for field in fields(ProtectedWindow)}
    assert names == {
        "start_s", "end_s", "is_partial", "frames", "suppressed", "seen", "readable",
        "shares", "readings", "dominant", "valence", "arousal", "confidence",
        "context", "context_prior", "positive_activity", "negative_activity", "classroom_activity", "grade",
        "teacher_activity", "intensity", "dominance", "zones",
    }  # fmt: skip
    told = protect(window(), LABELS, 10)
    for name in names:
        assert not isinstance(getattr(told, name), np.ndarray | np.generic | list | tuple | bytes), name


def test_windows_cannot_be_changed_on_their_way():
    with pytest.raises(AttributeError):
        window().seen = 3
    with pytest.raises(AttributeError):
        protect(window(), LABELS, 10).suppressed = False


def test_the_reading_changes_with_the_activity_and_the_shares_do_not():
    told = protect(window(context="task", context_prior=True), LABELS, 10)
    assert told.readings == {"thinking": 0.7, "boredom": 0.3}
    assert told.shares == protect(window(), LABELS, 10).shares
    assert (told.context, told.context_prior) == ("task", True)


@pytest.mark.parametrize("prior", [False, True])
def test_without_an_activity_there_is_no_word_of_a_prior(prior):
    told = protect(window(context_prior=prior), LABELS, 10)
    assert told.context is None
    assert told.context_prior is None


@given(
    shares=hnp.arrays(np.float64, 3, elements=st.floats(0, 1, allow_subnormal=False)),
    polarity=st.tuples(*[st.sampled_from([-1, 0, 1])] * 3),
)
def test_activities_are_sums_of_published_shares_and_the_grade_is_that_of_the_published_activity(
    shares, polarity
):
    assume(shares.sum() > 1e-6)
    labels = [replace(label, polarity=value) for label, value in zip(LABELS, polarity, strict=True)]
    told = protect(window(shares=shares / shares.sum()), labels, 10)
    for sign, activity in ((1, told.positive_activity), (-1, told.negative_activity)):
        theirs = [told.shares[label.name] for label in labels if label.polarity == sign]
        assert activity == pytest.approx(math.fsum(theirs))
    assert told.grade == grade_of(told.classroom_activity)
    # Every such window is an event that keeps its word.
    EmotionEvent.from_window(
        told, topics=Topics("s", "r", "d"), number=EventNumber(1, 1), ts=0.0, min_group=10
    )
