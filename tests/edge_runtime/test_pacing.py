"""A beat keeps its rate although frames do not fall on it."""

from __future__ import annotations

import pytest

from edge_runtime.pacing import Beat


def strikes(interval_s, times):
    beat = Beat(interval_s)
    return [now for now in times if beat.strikes(now)]


@pytest.mark.parametrize(
    ("interval_s", "times", "struck"),
    [
        pytest.param(1.0, [0.0, 0.5, 1.0, 1.5, 2.0], [0.0, 1.0, 2.0], id="frames on the beat"),
        pytest.param(1.0, [5.0], [5.0], id="the first look strikes"),
        pytest.param(1.0, [0.0, 0.9, 1.2, 1.9, 2.1], [0.0, 1.2, 2.1], id="frames beside the beat lose none"),
        pytest.param(1.0, [0.0, 10.3, 10.9, 11.3], [0.0, 10.3, 11.3], id="after a gap it begins afresh"),
        pytest.param(0.1, [0.0, 0.1, 0.2, 0.1 + 0.2], [0.0, 0.1, 0.2, 0.1 + 0.2], id="sums of floats"),
        pytest.param(0.01, [0.0, 0.04, 0.08], [0.0, 0.04, 0.08], id="faster than the frames"),
        pytest.param(1.0, [], [], id="no frames"),
    ],
)
def test_a_beat_strikes_when_it_is_due(interval_s, times, struck):
    assert strikes(interval_s, times) == struck


@pytest.mark.parametrize(("frames_hz", "beat_hz"), [(25, 2), (30, 25), (29.97, 2), (12.5, 5)])
def test_the_mean_rate_is_the_one_asked_for(frames_hz, beat_hz):
    count = len(strikes(1 / beat_hz, [frame / frames_hz for frame in range(int(60 * frames_hz))]))
    assert count == pytest.approx(60 * beat_hz, abs=1.5)


def test_after_a_reset_the_next_look_strikes_even_if_time_went_back():
    beat = Beat(10.0)
    assert beat.strikes(100.0)
    assert not beat.strikes(0.0)
    beat.reset()
    assert beat.strikes(0.0)


@pytest.mark.parametrize(
    ("interval_s", "struck"),
    [
        pytest.param(2.0, [0.0, 1.0, 3.0, 5.0], id="slower: the next comes later"),
        pytest.param(
            0.5, [0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0], id="faster: the next comes sooner"
        ),
    ],
)
def test_another_rate_counts_from_the_last_strike(interval_s, struck):
    beat, found = Beat(1.0), []
    for now_s in [step / 4 for step in range(21)]:
        if beat.strikes(now_s):
            found.append(now_s)
        if now_s == 1.0:
            beat.change(interval_s)
    assert found == struck


@pytest.mark.parametrize(
    ("phase", "struck"), [(1.0, [0, 4, 8, 12]), (0.5, [0, 2, 6, 10, 14]), (0.25, [0, 1, 5, 9, 13])]
)
def test_a_phase_shifts_all_strikes_but_the_first_also_after_a_reset(phase, struck):
    beat = Beat(0.4, phase=phase)
    for begin_s in (0.0, 100.0):
        assert [tenth for tenth in range(16) if beat.strikes(begin_s + tenth / 10)] == struck
        beat.reset()
