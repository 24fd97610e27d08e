"""Several windows as one point."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.history.points import WindowPoint, merge, thin


def point(ts: float, happy: float | None = 0.5, seconds: float = 60.0, **changes: Any) -> WindowPoint:
    """A window; private when `happy` is None."""
    told = happy is not None
    values: dict[str, Any] = {
        "device": "camera-1",
        "start_ts": ts - seconds,
        "ts": ts,
        "windows": 1,
        "suppressed": 0 if told else 1,
        "seconds": seconds if told else 0.0,
        "seen_min": 20,
        "seen_max": 24,
        "readable_min": 15,
        "readable_max": 19,
        "shares": {"happy": happy, "neutral": 1 - happy} if happy is not None else {},
        "valence": happy,
    }
    return WindowPoint(**(values | changes))


def test_a_mean_weighs_each_window_with_its_length() -> None:
    mean = merge([point(60, 0.2, 60), point(80, 0.8, 20)])
    assert mean.shares == {"happy": 0.35, "neutral": 0.65}  # (0.2 · 60 + 0.8 · 20) / 80
    assert (mean.valence, mean.dominant, mean.windows, mean.seconds) == (0.35, "neutral", 2, 80)
    assert (mean.start_ts, mean.ts) == (0, 80)


def test_private_windows_are_counted_and_weigh_nothing() -> None:
    mean = merge([point(60, 0.2), point(120, None), point(180, None)])
    assert (mean.shares["happy"], mean.suppressed, mean.windows, mean.is_private) == (0.2, 2, 3, False)
    assert merge([point(60, None), point(120, None)]).is_private


def test_a_label_that_only_some_windows_know_is_absent_from_the_others() -> None:
    mean = merge([point(60, 0.5), point(120, shares={"happy": 0.5, "neutral": 0.3, "confused": 0.2})])
    assert mean.shares == {"happy": 0.5, "neutral": 0.4, "confused": 0.1}


def test_words_are_those_in_force_longest_and_devices_are_all_named() -> None:
    lesson = [
        point(60, context="lecture"),
        point(120, context="task", device="camera-2"),
        point(180, context="task"),
    ]
    mean = merge(lesson)
    assert (mean.context, mean.grade, mean.device) == ("task", None, "camera-1+camera-2")


def test_few_points_stay_as_they_are() -> None:
    points = [point(60), point(120)]
    assert thin(points, 2) == points
    assert thin([], 5) == []


@given(
    times=st.lists(st.floats(0, 1e9), min_size=1, max_size=60),
    max_points=st.integers(1, 20),
)
def test_thinning_keeps_every_window_in_order_within_the_limit(times: list[float], max_points: int) -> None:
    thinned = thin([point(ts) for ts in sorted(times)], max_points)
    assert len(thinned) <= max(max_points, 0)
    assert sum(p.windows for p in thinned) == len(times)
    assert [p.ts for p in thinned] == sorted(p.ts for p in thinned)


def test_a_gap_stays_a_gap() -> None:
    morning, afternoon = [point(60.0 * n) for n in range(50)], [point(100_000 + 60.0 * n) for n in range(50)]
    thinned = thin(morning + afternoon, 20)
    assert max(later.start_ts - earlier.ts for earlier, later in pairwise(thinned)) > 90_000


def test_for_json_a_point_is_flat_and_says_nothing_that_it_does_not_know() -> None:
    flat = point(60, 0.5, more={"zone_window_suppressed": 1}).flat()
    assert (flat["share_happy"], flat["zone_window_suppressed"]) == (0.5, 1)
    assert "arousal" not in flat
    assert all(isinstance(value, str | int | float) for value in flat.values())


@pytest.mark.parametrize("count", [1, 7])
def test_the_mean_of_equal_windows_is_one_of_them(count: int) -> None:
    mean = merge([point(60.0 * n, 0.45) for n in range(count)])
    assert mean.shares == {"happy": 0.45, "neutral": 0.55}
