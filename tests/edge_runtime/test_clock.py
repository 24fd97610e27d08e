"""Capture time → unix time."""

from __future__ import annotations

import pytest

from edge_runtime.clock import CaptureClock


def test_of_a_camera_the_wall_clock_of_this_moment_counts() -> None:
    wall = [1_000_000.0]
    clock = CaptureClock(is_live=True, wall=lambda: wall[0], monotonic=lambda: 500.0)
    clock.begin(400.0)
    assert clock.unix_s(498.0) == 999_998.0
    wall[0] -= 3600
    assert clock.unix_s(498.0) == 996_398.0


def test_of_a_film_the_wall_clock_of_its_beginning_counts() -> None:
    wall = [1_000_000.0]
    clock = CaptureClock(is_live=False, wall=lambda: wall[0], monotonic=lambda: pytest.fail("not asked"))
    clock.begin(0.04)
    wall[0] += 77
    clock.begin(9.0)
    assert clock.unix_s(60.04) == 1_000_060.0
