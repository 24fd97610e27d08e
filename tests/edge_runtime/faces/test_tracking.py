"""The rules by which a box becomes a track, keeps its id, and is forgotten."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.faces.tracking import Tracker

SHAPE = (500, 500)


def box(x, y=100, side=40):
    return np.array([x, y, x + side, y + side], np.float32)


def boxes(*places):
    return np.array([box(*place) if isinstance(place, tuple) else box(place) for place in places], np.float32)


def tracker_with(*places, lose_after_s=1.5):
    tracker = Tracker(lose_after_s)
    for track in tracker.add(boxes(*places), 0.0):
        track.tentative = False
    return tracker


def places_of(tracker):
    return {track.id: track.box_xyxy for track in tracker.tracks}


def test_a_new_box_is_tentative_and_not_reported():
    tracker = Tracker(1.5)
    (track,) = tracker.add(boxes(100), 3.0)
    assert (track.id, track.born_s, track.confirmed_s) == (1, 3.0, 3.0)
    assert tracker.reported() == []
    track.tentative = False
    assert tracker.reported() == [track]
    track.visible = False
    assert tracker.reported() == []


@pytest.mark.parametrize(
    ("detected", "matched", "new"),
    [
        pytest.param([100, 200], {1, 2}, 0, id="both where they were"),
        pytest.param([105, 195], {1, 2}, 0, id="both moved a little"),
        pytest.param([100], {1}, 0, id="one missed"),
        pytest.param([], set(), 0, id="nothing found"),
        pytest.param([100, 200, 300], {1, 2}, 1, id="one more"),
        pytest.param([300, 400], set(), 2, id="others"),
        pytest.param([100, 104], {1}, 1, id="two boxes on one face: the nearer one"),
        pytest.param([119], {1}, 0, id="an overlap of 0.36"),
        pytest.param([124], set(), 1, id="an overlap of 0.25"),
    ],
)
def test_a_scan_confirms_the_tracks_that_it_overlaps(detected, matched, new):
    tracker = tracker_with(100, 200)
    then = places_of(tracker)
    left = tracker.apply_scan(boxes(*detected).reshape(-1, 4), then, 1.0)
    assert len(left) == new
    assert {track.id for track in tracker.tracks if track.confirmed_s == 1.0} == matched
    assert set(then) == {1, 2} - matched


def test_each_box_goes_to_the_track_that_it_overlaps_most():
    tracker = tracker_with(100, 125)
    tracker.apply_scan(boxes(122, 103), places_of(tracker), 1.0)
    assert [track.box_xyxy[0] for track in tracker.tracks] == [103, 122]


def test_what_a_scan_found_is_carried_along_with_the_motion_since():
    tracker = tracker_with(100)
    then = places_of(tracker)
    tracker.tracks[0].box_xyxy = box(130)  # the face moved by 30 px while the scan ran
    tracker.apply_scan(boxes(104), then, 1.0)
    np.testing.assert_allclose(tracker.tracks[0].box_xyxy, box(134))


def test_a_scan_does_not_touch_tracks_that_were_born_after_it_began():
    tracker = tracker_with(100)
    then = places_of(tracker)
    tracker.add(boxes(300), 0.5)
    left = tracker.apply_scan(boxes(300), then, 1.0)
    assert len(left) == 1
    assert tracker.add(left, 1.0) == []
    assert len(tracker.tracks) == 2


@pytest.mark.parametrize(
    ("lost_s", "visible"),
    [
        pytest.param(0.5, True, id="lost before the scan: found again"),
        pytest.param(1.5, False, id="lost since the scan: still lost"),
    ],
)
def test_a_scan_of_the_past_does_not_bring_back_what_has_left_since(lost_s, visible):
    tracker = tracker_with(100)
    then = places_of(tracker)
    tracker.tracks[0].hide(lost_s)
    tracker.apply_scan(boxes(100), then, 1.0)
    assert tracker.tracks[0].visible is visible


@pytest.mark.parametrize(("visible", "side"), [(True, 50), (False, 60)], ids=["averaged", "taken over"])
def test_the_size_of_a_visible_face_is_averaged(visible, side):
    tracker = tracker_with(100)
    (track,) = tracker.tracks
    track.visible = visible
    tracker.confirm(track, box(90, 90, 60), 2.0)
    assert track.box_xyxy[2] - track.box_xyxy[0] == pytest.approx(side)
    np.testing.assert_allclose((track.box_xyxy[:2] + track.box_xyxy[2:]) / 2, [120, 120])
    assert (track.visible, track.confirmed_s) == (True, 2.0)


def test_a_box_on_a_hidden_track_brings_it_back_with_its_id():
    tracker = tracker_with(100)
    tracker.tracks[0].visible = False
    assert tracker.add(boxes(108), 1.0) == []
    (track,) = tracker.reported()
    assert (track.id, track.confirmed_s) == (1, 1.0)


def test_ids_are_never_given_twice_even_after_all_tracks_ended():
    tracker = tracker_with(100, 200)
    tracker.tracks.clear()
    (track,) = tracker.add(boxes(100), 1.0)
    assert track.id == 3


def test_two_trackers_do_not_share_their_ids():
    assert [tracker_with(100).tracks[0].id for _ in range(2)] == [1, 1]


@pytest.mark.parametrize(
    ("change", "now_s", "kept"),
    [
        pytest.param({}, 1.5, True, id="confirmed just long enough ago"),
        pytest.param({}, 1.6, False, id="confirmed too long ago"),
        pytest.param({"visible": False}, 1.0, True, id="hidden for a moment"),
        pytest.param({"box_xyxy": box(-25)}, 0.1, False, id="left on the left"),
        pytest.param({"box_xyxy": box(-15)}, 0.1, True, id="half outside"),
        pytest.param({"box_xyxy": box(100, 485)}, 0.1, False, id="left at the bottom"),
    ],
)
def test_tracks_are_forgotten_when_unconfirmed_or_outside(change, now_s, kept):
    tracker = tracker_with(100)
    for name, value in change.items():
        setattr(tracker.tracks[0], name, value)
    tracker.forget(now_s, SHAPE)
    assert bool(tracker.tracks) is kept


@pytest.mark.parametrize(("second", "ids"), [(108, [1]), (125, [1, 2])], ids=["one face", "two faces"])
def test_of_two_tracks_on_one_face_the_older_one_stays(second, ids):
    tracker = tracker_with(100, 300)
    tracker.tracks[1].box_xyxy = box(second)
    tracker.forget_doubles()
    assert [track.id for track in tracker.tracks] == ids


def test_an_empty_tracker_has_boxes_of_the_right_shape():
    tracker = Tracker(1.0)
    assert tracker.boxes().shape == (0, 4)
    tracker.forget(1.0, SHAPE)
    tracker.forget_doubles()
    assert tracker.apply_scan(boxes(1), {}, 0.0).shape == (1, 4)
