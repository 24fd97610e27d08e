"""The source: order, pace, truth, addresses."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.errors import SourceUnavailableError
from edge_runtime.frames.frame import EndOfSource, FrameSource
from edge_runtime.frames.simulation.classroom import SimulatedClassroom
from edge_runtime.frames.simulation.controls import EXPRESSIONS
from edge_runtime.frames.simulation.scenery import seats
from edge_runtime.frames.simulation.truth import GroundTruth

SMALL = {"students": 5, "width": 480, "height": 270}


class FakeClock:
    """A monotonic clock that only moves when somebody sleeps, or by hand."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def drain(source):
    frames = []
    while True:
        try:
            frames.append(source.read())
        except EndOfSource:
            return frames


def test_a_teacher_is_one_person_more_and_changes_nobody_else():
    with (
        SimulatedClassroom(students=8, seed=3, width=960, height=540) as alone,
        SimulatedClassroom.from_uri(
            "simulated://students=8,seed=3,width=960,height=540,teacher=true"
        ) as both,
    ):
        alone.read(), both.read()
        without, taught = alone.truth(), both.truth()
    assert (len(without.labels), len(taught.labels)) == (8, 9)
    np.testing.assert_array_equal(without.boxes_xyxy, taught.boxes_xyxy[:8])
    assert taught.labels[:8].tolist() == without.labels.tolist()
    assert taught.boxes_xyxy[8, 0] > taught.boxes_xyxy[:8, 2].max()


def test_it_fulfils_the_protocol_of_a_source():
    source: FrameSource = SimulatedClassroom(**SMALL)
    with source:
        assert source.online
        assert not source.is_live


def test_frames_come_in_order_with_their_position_as_time_and_then_end():
    source = SimulatedClassroom(**SMALL, fps=4, seconds=1.5, camera_id="left")
    frames = drain(source)
    assert [frame.timestamp_s for frame in frames] == pytest.approx([0, 0.25, 0.5, 0.75, 1.0, 1.25])
    assert {frame.camera_id for frame in frames} == {"left"}
    assert {frame.image_bgr.shape for frame in frames} == {(270, 480, 3)}
    assert (source.counters.frames, source.counters.dropped) == (6, 0)


def test_zero_seconds_hold_no_frame():
    with pytest.raises(EndOfSource):
        SimulatedClassroom(**SMALL, seconds=0).read()


def test_the_same_seed_gives_the_same_film_and_another_seed_another():
    films = [drain(SimulatedClassroom(**SMALL, seed=seed, fps=1, seconds=4)) for seed in (1, 1, 2)]
    for first, second, other in zip(*films, strict=True):
        np.testing.assert_array_equal(first.image_bgr, second.image_bgr)
        assert (first.image_bgr != other.image_bgr).any()


def test_a_frame_handed_out_is_never_painted_over():
    source = SimulatedClassroom(**SMALL, fps=1)
    frame = source.read()
    copy = frame.image_bgr.copy()
    for _ in range(3):
        source.read()
    np.testing.assert_array_equal(frame.image_bgr, copy)


@pytest.mark.parametrize("students", [1, 2, 7, 24, 60])
def test_the_truth_describes_every_face_inside_of_the_picture(students):
    source = SimulatedClassroom(students=students, width=1280, height=720)
    source.read()
    truth = source.truth()
    assert len(truth) == students
    assert truth.student.tolist() == list(range(students))
    assert set(truth.labels) <= set(EXPRESSIONS)
    assert (truth.boxes_xyxy >= 0).all()
    assert (truth.boxes_xyxy[:, 2:] <= (1280, 720)).all()
    sides = truth.boxes_xyxy[:, 2:] - truth.boxes_xyxy[:, :2]
    np.testing.assert_allclose(sides[:, 0], sides[:, 1], rtol=1e-4)
    assert (truth.pupils_xy[:, 0, 0] < truth.pupils_xy[:, 1, 0]).all()
    assert np.abs([truth.valence, truth.arousal]).max() <= 1


def test_the_default_class_has_faces_from_fifty_to_a_hundred_and_ten_pixels_and_room_between_them():
    places = seats(24, 1920, 1080)
    widths = [seat.face_px for seat in places]
    assert 48 <= min(widths) < 60
    assert 100 < max(widths) <= 112
    assert widths == sorted(widths)
    rooms = np.array([seat.head_room(1920, 1080) for seat in places])
    for i, (x0, y0, x1, y1) in enumerate(rooms):
        apart = (rooms[:, 2] <= x0) | (rooms[:, 0] >= x1) | (rooms[:, 3] <= y0) | (rooms[:, 1] >= y1)
        assert np.delete(apart, i).all()


def test_every_skin_tone_sits_in_a_class_of_twelve():
    people = SimulatedClassroom(students=12, width=640, height=360).appearances
    assert sorted(person.skin_tone for person in people) == sorted(list(range(6)) * 2)


def test_one_seat_is_empty_for_a_while_and_its_face_is_not_in_the_truth():
    source = SimulatedClassroom(students=6, width=320, height=180, fps=0.5, seconds=100, lesson_s=100)
    present = []
    for _ in range(50):
        source.read()
        present.append(set(source.truth().student.tolist()))
    everybody = set(range(6))
    missing = {tuple(everybody - there) for there in present}
    assert len(missing) == 2
    assert () in missing
    assert present[0] == present[-1] == everybody


def test_no_truth_before_the_first_frame_and_no_frame_after_closing():
    source = SimulatedClassroom(**SMALL)
    with pytest.raises(SourceUnavailableError, match="no frame"):
        source.truth()
    source.read()
    source.close()
    source.close()
    assert len(source.truth()) == 5
    with pytest.raises(SourceUnavailableError, match="closed"):
        source.read()


def test_in_real_time_frames_are_paced_and_late_ones_are_dropped_and_counted():
    clock = FakeClock()
    source = SimulatedClassroom(**SMALL, fps=10, realtime=True, seconds=3, clock=clock, sleep=clock.sleep)
    assert source.is_live
    assert source.read().timestamp_s == 0
    assert source.read().timestamp_s == pytest.approx(0.1)
    assert clock.now_s == pytest.approx(1000.1)
    clock.now_s = 1000.75
    assert source.read().timestamp_s == pytest.approx(0.7)
    assert (source.counters.frames, source.counters.dropped) == (3, 5)
    clock.now_s = 1060.0
    assert source.read().timestamp_s == pytest.approx(2.9)
    assert source.counters.dropped == 26
    with pytest.raises(EndOfSource):
        source.read()


def test_in_real_time_a_read_gives_up_after_its_time_out():
    clock = FakeClock()
    source = SimulatedClassroom(**SMALL, fps=1, realtime=True, clock=clock, sleep=clock.sleep)
    source.read()
    assert source.read(timeout_s=0.25) is None
    assert clock.now_s == pytest.approx(1000.25)
    assert source.read(timeout_s=1.0).timestamp_s == 1.0


def test_an_address_sets_every_argument():
    uri = "simulated://students=3,seed=9,width=400,height=240,fps=5,seconds=0.4,realtime=no,lesson_s=60"
    by_address = drain(SimulatedClassroom.from_uri(uri))
    by_hand = drain(
        SimulatedClassroom(
            students=3, seed=9, width=400, height=240, fps=5, seconds=0.4, realtime=False, lesson_s=60
        )
    )
    assert len(by_address) == 2
    for first, second in zip(by_address, by_hand, strict=True):
        np.testing.assert_array_equal(first.image_bgr, second.image_bgr)


@pytest.mark.parametrize(
    "uri",
    ["simulated://", "SIMULATED://students=24", "simulated:// students = 24 , seed=7,"],
    ids=["bare", "case", "spaces"],
)
def test_an_address_may_be_short_and_spaced(uri):
    assert len(SimulatedClassroom.from_uri(uri).appearances) == 24


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        pytest.param("simulated://pupils=3", "“pupils” is not a key", id="unknown key"),
        pytest.param("simulated://student=3", "did you mean students", id="near miss"),
        pytest.param("simulated://students", "key=value", id="no value"),
        pytest.param("simulated://students=many", "an integer", id="not an integer"),
        pytest.param("simulated://fps=fast", "a number", id="not a number"),
        pytest.param("simulated://realtime=perhaps", "true or false", id="neither yes nor no"),
        pytest.param("simulated://seed=1,seed=2", "twice", id="twice"),
        pytest.param("rtsp://camera/1", "simulated://", id="other scheme"),
        pytest.param("simulated", "simulated://", id="no scheme"),
    ],
)
def test_a_faulty_address_is_refused_and_the_known_keys_are_listed(uri, words):
    with pytest.raises(SourceUnavailableError, match=words) as caught:
        SimulatedClassroom.from_uri(uri)
    for key in ("students", "seed", "width", "height", "fps", "seconds", "realtime", "lesson_s"):
        assert key in caught.value.hint


@pytest.mark.parametrize(
    "faulty",
    [
        {"students": 0},
        {"students": 61},
        {"seed": -1},
        {"width": 100},
        {"height": 100},
        {"fps": 0},
        {"fps": float("nan")},
        {"seconds": -1},
        {"lesson_s": 1},
    ],
    ids=str,
)
def test_arguments_out_of_range_are_refused_by_name(faulty):
    with pytest.raises(SourceUnavailableError, match=next(iter(faulty))):
        SimulatedClassroom(**faulty)


def test_faces_too_small_to_draw_are_refused_with_their_size():
    with pytest.raises(SourceUnavailableError, match="px wide"):
        SimulatedClassroom(students=60, width=160, height=120)


def test_a_truth_whose_arrays_disagree_is_refused():
    none = np.zeros(0, np.float32)
    empty = {
        "boxes_xyxy": np.zeros((0, 4), np.float32),
        "pupils_xy": np.zeros((0, 2, 2), np.float32),
        "landmarks_xy": np.zeros((0, 68, 2), np.float32),
        "labels": np.zeros(0, np.str_),
        "valence": none,
        "arousal": none,
        "yaw_pitch_roll_deg": np.zeros((0, 3), np.float32),
        "student": np.zeros(0, np.int64),
    }
    assert len(GroundTruth(**empty)) == 0
    with pytest.raises(ValueError, match="valence"):
        GroundTruth(**{**empty, "valence": np.zeros(1, np.float32)})
