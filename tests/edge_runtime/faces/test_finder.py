"""The finder on films: faces are found, keep their ids, and are gone soon after they left."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack

import cv2
import numpy as np
import pytest
from brokers import until

from edge_runtime.config import FacesSection
from edge_runtime.faces.detection import Detections, intersection_over_union
from edge_runtime.faces.finder import FaceFinder
from edge_runtime.faces.scanning import scan_thread
from edge_runtime.faces.view import FrameView
from edge_runtime.frames.film import Film
from edge_runtime.frames.frame import EndOfSource, Frame
from edge_runtime.frames.pixels import as_bgr
from edge_runtime.frames.simulation.classroom import SimulatedClassroom
from edge_runtime.frames.simulation.controls import Controls
from edge_runtime.frames.simulation.face import render_face
from edge_runtime.pacing import Rates


def frames_of(source):
    with source:
        while True:
            try:
                frame = source.read()
            except EndOfSource:
                return
            if frame is not None:
                yield frame


def run(frames, *, waits=True, **settings):
    """(time, Faces) of each frame."""
    with FaceFinder(FacesSection(**settings), waits_for_scans=waits) as finder:
        return [(frame.timestamp_s, finder.find(FrameView(frame))) for frame in frames]


def test_the_box_of_somebody_who_comes_nearer_grows_along():
    face = render_face(Controls(), size_px=200)
    x0, _, x1, _ = face.truth.box_xyxy
    room = np.full((540, 960, 3), 170, np.uint8)
    room[150:350, 300:500] = face.image_bgr
    frames, sides = [], []
    for index in range(75):  # from 4 m to 2.3 m in three seconds
        nearer = 1.2 ** (index / 25)
        matrix = np.array([[nearer, 0, 400 * (1 - nearer)], [0, nearer, 250 * (1 - nearer)]])
        image = cv2.warpAffine(room, matrix, (960, 540), borderValue=(170, 170, 170))
        frames.append(Frame(image, index / 25))
        sides.append(nearer * (x1 - x0))
    found = run(frames)
    assert {tuple(faces.track_ids) for _, faces in found} == {(1,)}
    ratios = [faces.widths_px[0] / side for (_, faces), side in zip(found, sides, strict=True)]
    assert 0.7 < min(ratios[12:]) <= max(ratios[12:]) < 1.3


def grey(value, timestamp_s, shape=(360, 640)):
    return Frame(np.full((*shape, 3), value, np.uint8), timestamp_s)


@pytest.mark.realdata
def test_the_benchmark_film_is_followed_seat_by_seat(shared_data):
    truth = json.loads((shared_data / "videos" / "mosaic_1080p.json").read_text("utf-8"))["boxes_xywh"]
    found = run(frames_of(Film(shared_data / "videos" / "mosaic_1080p.mp4")))
    assert len(found) == len(truth) == 250
    present = hit = false = 0
    ids_of_seat: dict[tuple[int, int], set[int]] = {}
    for (_, faces), boxes in zip(found, truth, strict=True):
        there = np.array(boxes, np.float32).reshape(-1, 4)
        there[:, 2:] += there[:, :2]
        overlap = intersection_over_union(there, faces.boxes_xyxy)
        present, hit = present + len(there), hit + int((overlap.max(axis=1, initial=0) >= 0.3).sum())
        false += int((overlap.max(axis=0, initial=0) < 0.3).sum())
        for row, column in zip(*np.nonzero(overlap >= 0.3), strict=True):
            x, y = (there[row, :2] + there[row, 2:]) / 2
            # Eight columns, three rows with middles at about 220, 460 and 770.
            seat = int(x // 240), int(np.digitize(y, (340, 620)))
            ids_of_seat.setdefault(seat, set()).add(int(faces.track_ids[column]))
    assert hit / present >= 0.97
    assert false / len(found) <= 0.3
    assert len(ids_of_seat) >= 22
    assert max(map(len, ids_of_seat.values())) <= 2


@pytest.mark.realdata
@pytest.mark.parametrize("follow", ["flow", "search"])
def test_a_film_gives_the_same_boxes_again(shared_data, follow):
    frames = list(frames_of(Film(shared_data / "videos" / "WolfgangLanger_Pexels.mp4")))[:50]
    first, second = (run(frames, follow=follow) for _ in range(2))
    assert any(len(faces) for _, faces in first)
    for (_, one), (_, other) in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.track_ids, other.track_ids)
        np.testing.assert_array_equal(one.boxes_xyxy, other.boxes_xyxy)


@pytest.mark.realdata
def test_a_film_without_a_face_has_hardly_any(shared_data):
    found = run(frames_of(Film(shared_data / "videos" / "no_face.mp4")))
    assert np.mean([len(faces) for _, faces in found]) <= 0.1


def test_a_face_is_there_with_the_first_frame_and_gone_within_its_time_when_it_leaves(classroom_frames):
    there = classroom_frames[:15]
    last_s = there[-1].timestamp_s
    empty = [grey(128, last_s + step / 10, (540, 960)) for step in range(1, 31)]
    found = run([*there, *empty])
    assert len(found[0][1]) >= 5
    assert len(found[14][1]) >= 5
    for now_s, faces in found[15:]:
        assert len(faces) == 0, f"{now_s - last_s:.1f} s after everybody left"


def test_a_face_that_comes_is_found_within_two_scans(classroom_frames):
    first_s = classroom_frames[0].timestamp_s
    empty = [grey(128, first_s - step / 10, (540, 960)) for step in range(20, 0, -1)]
    found = run([*empty, *classroom_frames])
    assert all(len(faces) == 0 for _, faces in found[:20])
    came = next(now_s for now_s, faces in found if len(faces) >= 5)
    assert came - first_s <= 2 / FacesSection().scan_rate_hz


@pytest.mark.realdata
def test_a_real_face_is_gone_at_once_when_the_film_cuts_away(shared_data):
    found = run(frames_of(Film(shared_data / "videos" / "face_noface.mov")))
    seen = [set(faces.track_ids.tolist()) for _, faces in found]
    # The cut is after frame 71; later the cascade takes the letters of the title for a face, under a new id.
    assert np.mean([len(ids) == 1 for ids in seen[:70]]) >= 0.95
    assert not any(seen[75:110])
    assert not set.union(*seen[:70]) & set.union(*seen[75:])


@pytest.mark.realdata
def test_a_real_face_is_found_soon_after_the_film_cuts_to_it(shared_data):
    found = run(frames_of(Film(shared_data / "videos" / "noface_face.mov")))
    seen = np.array([len(faces) for _, faces in found])
    assert seen[:95].max() == 0
    assert (seen[115:165] == 1).mean() >= 0.95


@pytest.fixture(scope="module")
def classroom_frames():
    """Three seconds of six people at 10 frames/s, 960×540."""
    return list(frames_of(SimulatedClassroom(students=6, seed=3, width=960, height=540, fps=10, seconds=3)))


def test_ages_grow_with_the_film_and_ids_stay(classroom_frames):
    found = run(classroom_frames)
    begin, end = found[2], found[-1]
    stayed = np.isin(end[1].track_ids, begin[1].track_ids)
    assert stayed.mean() >= 0.8
    np.testing.assert_allclose(end[1].age_s[stayed].max(), end[0] - found[0][0], atol=1e-6)


def test_another_frame_size_ends_all_tracks_and_finds_them_anew(classroom_frames):
    smaller = [
        Frame(cv2.resize(frame.image_bgr, (640, 360)), frame.timestamp_s + 3.0)
        for frame in classroom_frames[:5]
    ]
    found = run([*classroom_frames[:8], *smaller])
    before, after = found[7][1], found[8][1]
    assert len(before) >= 5
    assert len(after) >= 4
    assert not set(before.track_ids.tolist()) & set(after.track_ids.tolist())
    assert after.boxes_xyxy.max() < 660


@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (30, 400), (400, 30), (360, 640)], ids=str)
@pytest.mark.parametrize("follow", ["flow", "search"])
def test_empty_and_tiny_frames_have_no_faces(shape, follow):
    for _, faces in run([grey(0, step / 10, shape) for step in range(12)], follow=follow):
        assert len(faces) == 0
        assert faces.boxes_xyxy.shape == (0, 4)
        assert faces.widths_px.shape == (0,)


def test_grey_pictures_work_like_coloured_ones(classroom_frames):
    frames = [
        Frame(as_bgr(cv2.cvtColor(frame.image_bgr, cv2.COLOR_BGR2GRAY)), frame.timestamp_s)
        for frame in classroom_frames[:6]
    ]
    colour, plain = run(classroom_frames[:6])[-1][1], run(frames)[-1][1]
    assert len(plain) == len(colour)
    np.testing.assert_allclose(plain.boxes_xyxy, colour.boxes_xyxy, atol=2)


def test_a_camera_does_not_wait_for_its_scans_but_gets_their_results(classroom_frames):
    # The film runs many times faster than life here, so that a scan lasts for many seconds of it.
    with FaceFinder(FacesSection(lose_after_s=60), waits_for_scans=False) as finder:
        answers = []
        while finder.counters.scans < 3 and len(answers) < 5000:
            now_s = len(answers) / 25  # one picture that stays, so that nothing depends on when a scan ends
            answers.append(len(finder.find(FrameView(Frame(classroom_frames[0].image_bgr, now_s)))))
    assert finder.counters.scans == 3
    assert min(answers) == max(answers) >= 5


def test_after_a_reset_time_may_begin_anew_and_ids_are_new(classroom_frames):
    with FaceFinder(FacesSection(), waits_for_scans=True) as finder:
        before = [finder.find(FrameView(frame)) for frame in classroom_frames[20:]][-1]
        finder.reset()
        assert len(finder.known_ids()) == 0
        after = finder.find(FrameView(classroom_frames[0]))
    assert len(after) >= 5
    assert not set(before.track_ids.tolist()) & set(after.track_ids.tolist())


def test_frames_between_two_follow_steps_repeat_the_last_answer(classroom_frames):
    found = run(classroom_frames[:10], follow_rate_hz=5.0)
    for (_, first), (_, second) in zip(found[::2], found[1::2], strict=True):
        np.testing.assert_array_equal(first.boxes_xyxy, second.boxes_xyxy)


def test_stage_times_are_measured(classroom_frames):
    with FaceFinder(FacesSection(), waits_for_scans=True) as finder:
        for frame in classroom_frames:
            finder.find(FrameView(frame))
        assert {"scan", "scan_wait", "follow"} <= set(finder.spans.percentiles())
        assert finder.counters.tracks_begun >= 5


def test_a_second_scan_is_refused_while_one_is_under_way(classroom_frames):
    with FaceFinder(FacesSection(), waits_for_scans=False) as finder:
        view = FrameView(classroom_frames[0])
        finder._scanner.begin(view, [], np.empty((0, 4), np.float32))
        assert finder._scanner.busy
        with pytest.raises(RuntimeError, match="under way"):
            finder._scanner.begin(view, [], np.empty((0, 4), np.float32))
        assert finder._scanner.take(wait=True) is not None
        assert finder._scanner.take(wait=True) is None


class _Obstinate:
    """A detector that sees a face at one place, whatever is there: a cupboard is one for a cascade in each scan."""

    def __init__(self, box):
        self._box = np.array([box], np.float32)

    def prepare(self, view):
        pass

    def detect(self, view):
        return Detections(self._box)


def test_what_only_the_scan_takes_for_a_face_is_no_face_for_long(classroom_frames, monkeypatch):
    first = classroom_frames[0]
    (_, faces), *_ = run([first])
    face = faces.boxes_xyxy[0]
    wall = np.full_like(first.image_bgr, 128)
    monkeypatch.setattr("edge_runtime.faces.finder.make_detector", lambda settings: _Obstinate(face))
    film = [Frame(first.image_bgr if step < 20 else wall, step / 10) for step in range(160)]
    there = {time_s: len(faces) for time_s, faces in run(film)}
    assert there[1.9] == 1
    assert all(count == 0 for time_s, count in there.items() if time_s > 13)


def test_what_was_never_a_face_is_never_reported(monkeypatch):
    monkeypatch.setattr(
        "edge_runtime.faces.finder.make_detector", lambda settings: _Obstinate([9, 9, 90, 90])
    )
    assert not any(len(faces) for _, faces in run([grey(99, step / 10) for step in range(40)]))


def test_cameras_that_share_a_slow_scan_thread_have_one_scan_each_there_and_are_served_in_turn(
    classroom_frames,
):
    served, gate = [], threading.Semaphore(0)

    class Slow:
        def __init__(self, camera):
            self.camera = camera

        def prepare(self, view):
            pass

        def detect(self, view):
            gate.acquire(timeout=10)
            served.append(self.camera)
            return Detections(np.empty((0, 4), np.float32))

    with scan_thread() as thread, ExitStack() as owned:
        finders = [
            owned.enter_context(FaceFinder(FacesSection(), waits_for_scans=False, scan_thread=thread))
            for _ in range(3)
        ]
        for camera, finder in enumerate(finders):
            finder._scanner._detector = Slow(camera)
            finder._is_first = False  # nobody waits, not even for the first
        for frame in classroom_frames:  # six beats of scans, and none comes to its end
            for finder in finders:
                finder.find(FrameView(frame))
            assert thread._work_queue.qsize() <= 3
        gate.release(3)
        assert until(lambda: all(finder._scanner._pending.done() for finder in finders))
        assert served == [0, 1, 2]


def test_with_seldom_scans_faces_stay_until_the_scan_after_the_next(classroom_frames):
    lasting = [Frame(classroom_frames[0].image_bgr, step / 10) for step in range(60)]
    with FaceFinder(FacesSection(lose_after_s=0.5), waits_for_scans=True) as finder:
        finder.set_rates(Rates(classify_hz=0.5, scan_hz=0.5, follow_hz=5))
        found = [finder.find(FrameView(frame)) for frame in lasting]
    assert finder.counters.scans == 2  # and one is under way
    assert min(len(faces) for faces in found) >= 5
    assert len({int(track) for faces in found for track in faces.track_ids}) == len(found[0])
