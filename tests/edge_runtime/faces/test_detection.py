"""Detection: Haar and YuNet find the faces of a room and draw the same kind of box."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge_runtime.config import FacesSection
from edge_runtime.errors import ConfigurationError
from edge_runtime.faces.cascades import load_cascade
from edge_runtime.faces.detection import HaarDetector, YuNetDetector, intersection_over_union, make_detector
from edge_runtime.faces.following import LocalSearch
from edge_runtime.faces.view import FrameView
from edge_runtime.frames.frame import Frame
from edge_runtime.frames.pixels import as_bgr, read_image
from edge_runtime.frames.simulation.classroom import SimulatedClassroom


@pytest.fixture(scope="module")
def classroom():
    """One frame of 24 people, and its truth."""
    with SimulatedClassroom(students=24, seed=7) as source:
        frame = source.read()
        return FrameView(frame), source.truth()


@pytest.fixture
def yunet(shared_data):
    model = shared_data / "models" / "yunet_n_320_320.onnx"
    return YuNetDetector(FacesSection(detector="yunet", yunet_model=model))


def view_of(image, timestamp_s=0.0):
    return FrameView(Frame(as_bgr(np.asarray(image)), timestamp_s))


def test_the_cascade_finds_the_simulated_class(classroom):
    view, truth = classroom
    boxes = HaarDetector(FacesSection()).detect(view).boxes_xyxy
    best = intersection_over_union(truth.boxes_xyxy, boxes).max(axis=1)
    assert (best > 0.4).mean() >= 0.85
    _, agreed = LocalSearch().find(view.grey, boxes)
    assert agreed.sum() <= len(truth) + 2  # a scan's boxes are candidates, and few of them are none


def test_one_face_is_one_box_wherever_its_size_lies_between_two_octaves(classroom):
    view, _ = classroom
    boxes = HaarDetector(FacesSection()).detect(view).boxes_xyxy
    overlap = intersection_over_union(boxes, boxes)
    assert np.triu(overlap, 1).max() < 0.3


@pytest.mark.realdata
def test_a_face_is_found_at_every_size(shared_data):
    face = read_image(shared_data / "images" / "group_6.jpg")[:, :, 0]
    settings = FacesSection(min_face_px=60)
    side = HaarDetector(settings).detect(view_of(face)).boxes_xyxy[0]
    x0, y0, x1, y1 = side.astype(int)
    cut = face[max(0, y0 - 40) : y1 + 40, max(0, x0 - 40) : x1 + 40]
    sizes = np.geomspace(50, 800, 17)  # of the face's box in a 1080p frame
    found = []
    for size in sizes:
        patch = cv2.resize(cut, None, fx=size / (x1 - x0), fy=size / (x1 - x0), interpolation=cv2.INTER_AREA)
        frame = np.full((1080, 1920), 128, np.uint8)
        patch = patch[:1000, :1000]
        frame[40 : 40 + len(patch), 300 : 300 + patch.shape[1]] = patch
        sides = np.diff(HaarDetector(FacesSection()).detect(view_of(frame)).boxes_xyxy[:, [0, 2]])
        found.append(bool(len(sides)) and float(np.abs(np.log(sides / size)).min()) < 0.25)
    assert all(found), dict(zip(sizes.round(), found, strict=True))


@pytest.mark.parametrize("cascade", ["default", "alt", "alt2"])
def test_boxes_are_square_and_in_pixels_of_the_frame(classroom, cascade):
    boxes = HaarDetector(FacesSection(cascade=cascade, scan_width_px=1280)).detect(classroom[0]).boxes_xyxy
    assert boxes.dtype == np.float32
    sides = boxes[:, 2:] - boxes[:, :2]
    np.testing.assert_allclose(sides[:, 0], sides[:, 1], atol=1e-3)
    assert boxes[:, 2].max() > 1400  # a face at the right, beyond the width of the scanned image


def test_no_box_is_smaller_or_larger_than_asked_for(classroom):
    detector = HaarDetector(FacesSection(min_face_px=70, max_face_fraction=0.09))
    boxes = detector.detect(classroom[0]).boxes_xyxy
    sides = boxes[:, 2] - boxes[:, 0]
    assert len(sides)
    assert 68 <= sides.min() <= sides.max() <= 0.09 * 1080 + 2


@pytest.mark.realdata
@pytest.mark.parametrize("detector", ["haar", "yunet"])
def test_six_people_are_found_in_the_group_picture(shared_data, detector):
    model = shared_data / "models" / "yunet_n_320_320.onnx" if detector == "yunet" else None
    view = view_of(read_image(shared_data / "images" / "group_6.jpg"))
    # All six faces are large; a least size keeps the cascade away from the texture of clothes.
    settings = FacesSection(detector=detector, yunet_model=model, min_face_px=view.shape[1] // 20)
    assert len(make_detector(settings).detect(view)) == 6


@pytest.mark.realdata
def test_yunet_draws_its_boxes_as_the_cascade_does(shared_data, yunet):
    view = view_of(read_image(shared_data / "images" / "group_6.jpg"))
    haar = HaarDetector(FacesSection(min_face_px=view.shape[1] // 20)).detect(view).boxes_xyxy
    other = yunet.detect(view).boxes_xyxy
    overlap = intersection_over_union(haar, other)
    assert (overlap.max(axis=1) > 0.4).all()
    assert np.median(overlap.max(axis=1)) > 0.75
    sizes = (haar[:, 2] - haar[:, 0]) / (other[:, 2] - other[:, 0])[overlap.argmax(axis=1)]
    assert np.median(sizes) == pytest.approx(1, abs=0.2)


@pytest.mark.realdata
def test_yunet_finds_nobody_in_an_empty_room(yunet):
    found = yunet.detect(view_of(np.full((480, 640), 90, np.uint8)))
    assert found.boxes_xyxy.shape == (0, 4)


@pytest.mark.parametrize("path", [None, "missing.onnx"])
def test_yunet_without_its_model_is_a_fault_of_the_configuration(tmp_path, path):
    settings = FacesSection.model_construct(detector="yunet", yunet_model=path and tmp_path / path)
    with pytest.raises(ConfigurationError, match=r"faces\.yunet_model") as caught:
        make_detector(settings)
    assert caught.value.hint


def test_a_file_that_is_no_network_is_a_fault_of_the_configuration(tmp_path):
    (tmp_path / "y.onnx").write_bytes(b"no network")
    with pytest.raises(ConfigurationError, match="cannot read"):
        make_detector(FacesSection(detector="yunet", yunet_model=tmp_path / "y.onnx"))


@pytest.mark.realdata
def test_another_network_in_the_place_of_yunet_is_a_fault_of_the_configuration(shared_data):
    other = shared_data / "models" / "fer2013_mini_XCEPTION.102-0.66.onnx"
    with pytest.raises(ConfigurationError, match="cannot read"):
        make_detector(FacesSection(detector="yunet", yunet_model=other))


@pytest.mark.parametrize("shape", [(1, 1), (2, 1000), (1000, 2), (19, 19), (21, 21)], ids=str)
def test_a_frame_too_small_for_a_face_has_none(shape):
    assert len(HaarDetector(FacesSection()).detect(view_of(np.zeros(shape, np.uint8)))) == 0


@pytest.mark.realdata
@pytest.mark.parametrize("shape", [(1, 1), (2, 1000), (1, 4000), (19, 19)], ids=str)
def test_a_frame_too_small_for_a_face_has_none_by_yunet_either(yunet, shape):
    assert len(yunet.detect(view_of(np.zeros(shape, np.uint8)))) == 0


@pytest.mark.parametrize(
    ("first", "second", "ratio"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1),
        ((0, 0, 10, 10), (5, 0, 15, 10), 1 / 3),
        ((0, 0, 10, 10), (5, 5, 15, 15), 25 / 175),
        ((0, 0, 10, 10), (2, 2, 7, 7), 0.25),
        ((0, 0, 10, 10), (10, 0, 20, 10), 0),
        ((0, 0, 10, 10), (50, 50, 60, 60), 0),
        ((0, 0, 0, 0), (0, 0, 0, 0), 0),
        ((0, 0, 0, 0), (0, 0, 10, 10), 0),
        ((-10, -10, 10, 10), (0, 0, 10, 10), 0.25),
    ],
    ids=[
        "same",
        "half beside",
        "a quarter",
        "inside",
        "touching",
        "apart",
        "two points",
        "a point",
        "negative",
    ],
)
def test_intersection_over_union_worked_out_by_hand(first, second, ratio):
    boxes = [np.array([box], np.float32) for box in (first, second)]
    assert intersection_over_union(*boxes)[0, 0] == pytest.approx(ratio)
    assert intersection_over_union(*boxes[::-1])[0, 0] == pytest.approx(ratio)


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 3), (3, 0), (2, 3)])
def test_ratios_are_a_table_of_all_pairs(n, m):
    boxes = [np.tile(np.array([0, 0, 1, 1], np.float32), (count, 1)) for count in (n, m)]
    assert intersection_over_union(*boxes).shape == (n, m)


def test_a_cascade_that_does_not_exist_is_named():
    with pytest.raises(Exception, match=r"haarcascade_tail\.xml") as caught:
        load_cascade("haarcascade_tail.xml")
    assert caught.value.exit_code == 8
    assert "opencv-python-headless" in caught.value.hint


def test_an_opencv_without_cascades_says_which_one_to_install(monkeypatch):
    monkeypatch.delattr(cv2, "CascadeClassifier")
    with pytest.raises(Exception, match="has no Haar cascades") as caught:
        load_cascade("haarcascade_eye.xml")
    assert "<5" in caught.value.hint
