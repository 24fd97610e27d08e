"""Episodes, worked out window by window: when they begin, go on, pause, and end."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from edge_runtime.errors import ConfigurationError
from edge_runtime.room.episodes import EpisodeTracker, check_kinds
from edge_runtime.room.window import Band, ProtectedWindow

WINDOW_S = 60.0


@dataclass(frozen=True)
class Label:
    name: str
    reading: str


LABELS = (Label("sad", "frustration"), Label("happy", "interest"))


def window(number, negative, *, partial_s=None, shares=None, readings=None):
    """The window of minute `number`; `negative` None: suppressed."""
    told = negative is not None
    return ProtectedWindow(
        start_s=number * WINDOW_S,
        end_s=number * WINDOW_S + (partial_s or WINDOW_S),
        is_partial=partial_s is not None,
        frames=100,
        suppressed=not told,
        seen=Band(10, 14),
        readable=Band(10, 14) if told else Band(1, 9),
        shares=shares or {},
        readings=readings or {},
        dominant="sad" if told else None,
        valence=0.0 if told else None,
        arousal=0.0 if told else None,
        confidence=0.5 if told else None,
        negative_activity=negative,
    )


def tracker(windows=3, gap_windows=1, thresholds=None):
    return EpisodeTracker(
        thresholds or {"negative_activity": 0.5}, windows=windows, gap_windows=gap_windows, window_s=WINDOW_S
    )


def told(episodes, minutes):
    """minute → what was said after it, as `phase windows duration_s share peak`; minutes may be skipped."""
    out = {}
    for number, negative in minutes.items():
        for step in episodes.observe(window(number, negative)):
            out.setdefault(number, []).append(
                (step.phase, step.windows, step.duration_s, step.share, step.peak_share)
            )
    return out


def test_three_windows_begin_an_episode_and_a_calm_minute_more_than_the_gap_ends_it():
    minutes = dict(enumerate([0.2, 0.5, 0.7, 0.55, 0.6, 0.3, 0.3, 0.3]))
    assert told(tracker(), minutes) == {
        3: [("new", 3, 180.0, 0.55, 0.7)],
        4: [("update", 4, 240.0, 0.6, 0.7)],
        6: [("end", 4, 240.0, 0.6, 0.7)],
    }


@pytest.mark.parametrize("pause", [0.2, None], ids=["calm", "suppressed"])
def test_a_short_pause_is_merged_into_the_episode(pause):
    minutes = dict(enumerate([0.5, 0.5, 0.5, pause, 0.5]))
    assert told(tracker(), minutes) == {
        2: [("new", 3, 180.0, 0.5, 0.5)],
        4: [("update", 4, 300.0, 0.5, 0.5)],
    }


@pytest.mark.parametrize("pause", [0.2, None], ids=["calm", "suppressed"])
def test_a_pause_before_an_episode_is_told_begins_the_count_anew(pause):
    minutes = dict(enumerate([0.5, 0.5, pause, 0.5, 0.5]))
    assert told(tracker(), minutes) == {}


@pytest.mark.parametrize("pause", [0.2, None], ids=["calm", "suppressed"])
def test_without_gaps_the_first_window_that_does_not_count_ends_it(pause):
    minutes = dict(enumerate([0.5, pause]))
    assert told(tracker(windows=1, gap_windows=0), minutes) == {
        0: [("new", 1, 60.0, 0.5, 0.5)],
        1: [("end", 1, 60.0, 0.5, 0.5)],
    }


def test_suppressed_windows_never_begin_an_episode():
    assert told(tracker(windows=1), dict.fromkeys(range(10))) == {}


def test_minutes_without_windows_are_a_gap_too():
    # The camera was away in minutes 3 to 5: what comes in minute 6 is another episode.
    minutes = {0: 0.5, 1: 0.5, 2: 0.5, 6: 0.5, 7: 0.5, 8: 0.6}
    assert told(tracker(), minutes) == {
        2: [("new", 3, 180.0, 0.5, 0.5)],
        6: [("end", 3, 180.0, 0.5, 0.5)],
        8: [("new", 3, 180.0, 0.6, 0.6)],
    }


def test_a_partial_window_goes_on_with_an_episode_but_begins_none():
    episodes = tracker(windows=1)
    assert episodes.observe(window(0, 0.5, partial_s=10.0)) == []
    (begun,) = episodes.observe(window(1, 0.5))
    (gone_on,) = episodes.observe(window(2, 0.6, partial_s=10.0))
    assert (begun.phase, gone_on.phase, gone_on.duration_s) == ("new", "update", 70.0)


def test_when_no_window_follows_every_open_episode_is_ended_once():
    episodes = tracker(windows=2)
    assert told(episodes, {0: 0.5}) == {}
    assert episodes.end() == []  # one window is no episode yet
    told(episodes, {0: 0.5, 1: 0.5})
    (ended,) = episodes.end()
    assert (ended.phase, ended.windows) == ("end", 2)
    assert episodes.end() == []


def test_kinds_are_followed_each_by_itself():
    episodes = tracker(windows=1, gap_windows=0, thresholds={"sad": 0.4, "thinking": 0.3})
    first = episodes.observe(window(0, 0.5, shares={"sad": 0.5}, readings={"frustration": 0.5}))
    second = episodes.observe(window(1, 0.5, shares={"sad": 0.3}, readings={"thinking": 0.3}))
    assert [(step.phase, step.kind) for step in first] == [("new", "sad")]
    assert [(step.phase, step.kind) for step in second] == [("end", "sad"), ("new", "thinking")]


@pytest.mark.parametrize(("share", "counts"), [(0.45, False), (0.5, True), (0.55, True)])
def test_the_threshold_itself_counts(share, counts):
    assert bool(told(tracker(windows=1), {0: share})) is counts


def test_a_kind_that_the_bundle_never_tells_is_a_fault_that_names_what_there_is():
    check_kinds(["sad", "frustration", "thinking", "positive_activity"], LABELS)
    with pytest.raises(ConfigurationError) as caught:
        check_kinds(["sad", "bored", "angry"], LABELS)
    assert [fault.key for fault in caught.value.faults] == [
        "episodes.thresholds.bored",
        "episodes.thresholds.angry",
    ]
    assert "frustration, happy, interest, negative_activity" in str(caught.value)
