"""Smoothing follows a step as an exponential does, each track by itself."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge_runtime.room.smoothing import Smoother

A, B = np.array([1, 0], np.float32), np.array([0, 1], np.float32)


def ids(*tracks):
    return np.array(tracks, np.int64)


@pytest.mark.parametrize("tau", [0.5, 2.0, 20.0])
@pytest.mark.parametrize("rate_hz", [1, 2, 25])
def test_a_step_is_followed_by_one_minus_exp(tau, rate_hz):
    smoother = Smoother(tau)
    smoother.smooth(0.0, ids(1), A[None])
    for step in range(1, 3 * rate_hz + 1):
        now = step / rate_hz
        (row,) = smoother.smooth(now, ids(1), B[None])
        assert row[1] == pytest.approx(1 - math.exp(-now / tau), abs=1e-5)
        assert row.sum() == pytest.approx(1, abs=1e-5)


def test_after_one_time_constant_63_percent_are_followed_however_irregular_the_moments():
    smoother = Smoother(2.0)
    smoother.smooth(10.0, ids(1), A[None])
    for now in (10.1, 10.15, 11.7, 12.0):
        (row,) = smoother.smooth(now, ids(1), B[None])
    assert row[1] == pytest.approx(0.632, abs=1e-3)


def test_zero_switches_smoothing_off():
    smoother = Smoother(0)
    smoother.smooth(0.0, ids(1), A[None])
    np.testing.assert_array_equal(smoother.smooth(0.1, ids(1), B[None]), B[None])


def test_tracks_are_smoothed_apart_in_whatever_order_they_come():
    smoother = Smoother(1.0)
    first = smoother.smooth(0.0, ids(1, 2), np.stack([A, B]))
    np.testing.assert_array_equal(first, np.stack([A, B]))
    again = smoother.smooth(5.0, ids(2, 3, 1), np.stack([B, A, A]))
    np.testing.assert_array_equal(again, np.stack([B, A, A]))


def test_a_forgotten_track_begins_anew():
    smoother = Smoother(10.0)
    smoother.smooth(0.0, ids(1, 2), np.stack([A, A]))
    smoother.keep_only(ids(2))
    rows = smoother.smooth(0.1, ids(1, 2), np.stack([B, B]))
    np.testing.assert_array_equal(rows[0], B)
    assert rows[1, 1] < 0.02


def test_two_rows_of_the_same_moment_do_not_divide_by_zero():
    smoother = Smoother(1.0)
    smoother.smooth(1.0, ids(1), A[None])
    np.testing.assert_array_equal(smoother.smooth(1.0, ids(1), B[None]), A[None])


def test_nobody_is_a_legal_moment():
    assert Smoother(1.0).smooth(0.0, ids(), np.empty((0, 7), np.float32)).shape == (0, 7)


def test_what_the_caller_does_to_its_arrays_later_changes_nothing():
    smoother = Smoother(1.0)
    mine = A[None].copy()
    smoother.smooth(0.0, ids(1), mine)[:] = 7
    mine[:] = 9
    np.testing.assert_array_equal(smoother.smooth(0.0, ids(1), B[None]), A[None])
