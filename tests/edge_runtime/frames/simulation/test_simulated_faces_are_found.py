"""OpenCV's cascades, trained on photographs, find the drawn faces of every skin tone, and little else."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from edge_runtime.faces.cascades import load_cascade
from edge_runtime.frames.simulation.classroom import SimulatedClassroom

SEEDS = (7, 8, 9, 10)
FRAMES = 3  # of each seed, 40 s of the lesson apart
FRONTAL_DEG = 15
SAME_FACE_IOU = 0.4
CASCADES = ("haarcascade_frontalface_default.xml", "haarcascade_frontalface_alt.xml")


@dataclass(frozen=True)
class Search:
    """What one cascade found in all frames."""

    found: np.ndarray  # (faces,) bool
    tone: np.ndarray  # (faces,) skin tone of each
    side: np.ndarray  # side of the found boxes / width of the face
    offset: np.ndarray  # (found, 2) distance of the middles / width of the face
    false_per_frame: float


@pytest.fixture(scope="module")
def scenes():
    taken = []
    for seed in SEEDS:
        source = SimulatedClassroom(seed=seed, fps=1 / 40 * 4)
        for position in range(FRAMES * 4):
            frame = source.read()
            if position % 4 == 1:
                image = cv2.cvtColor(frame.image_bgr, cv2.COLOR_BGR2GRAY)
                taken.append((image, source.truth(), source.appearances))
    return taken


def overlap(box, boxes):
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    common = np.prod(np.maximum(high - low, 0), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return common / (np.prod(box[2:] - box[:2]) + areas - common)


@pytest.fixture(scope="module", params=CASCADES, ids=["default", "alt"])
def search(request, scenes):
    cascade = load_cascade(request.param)
    found, tone, side, offset, false = [], [], [], [], 0
    for image, truth, people in scenes:
        boxes = np.array(cascade.detectMultiScale(image, scaleFactor=1.1, minNeighbors=3), float).reshape(
            -1, 4
        )
        boxes[:, 2:] += boxes[:, :2]
        is_face = np.zeros(len(boxes), bool)
        for face, angles, student in zip(
            truth.boxes_xyxy, truth.yaw_pitch_roll_deg, truth.student, strict=True
        ):
            ious = overlap(face, boxes)
            is_face |= ious > SAME_FACE_IOU
            if np.abs(angles).max() > FRONTAL_DEG:
                continue
            hit = bool((ious > SAME_FACE_IOU).any())
            found.append(hit)
            tone.append(people[student].skin_tone)
            if hit:
                best, width = boxes[ious.argmax()], face[2] - face[0]
                side.append((best[2] - best[0]) / width)
                offset.append((best[:2] + best[2:] - face[:2] - face[2:]) / 2 / width)
        false += np.count_nonzero(~is_face)
    return Search(np.array(found), np.array(tone), np.array(side), np.array(offset), false / len(scenes))


def test_frontal_faces_are_found(search):
    assert len(search.found) > 200
    assert search.found.mean() >= 0.95


@pytest.mark.parametrize("tone", range(6))
def test_no_skin_tone_is_behind(search, tone):
    of_tone = search.found[search.tone == tone]
    assert len(of_tone) > 30
    assert of_tone.mean() >= 0.95


def test_hardly_anything_else_is_taken_for_a_face(search):
    assert search.false_per_frame <= 0.3


def test_the_boxes_of_the_truth_are_those_of_the_cascade(search):
    assert np.median(search.side) == pytest.approx(1.0, abs=0.12)
    np.testing.assert_allclose(np.median(search.offset, axis=0), 0, atol=0.04)


def test_the_eye_cascade_finds_both_eyes_of_most_faces(scenes):
    cascade = load_cascade("haarcascade_eye.xml")
    both = []
    for image, truth, _ in scenes:
        for box, angles in zip(truth.boxes_xyxy, truth.yaw_pitch_roll_deg, strict=True):
            if np.abs(angles).max() <= FRONTAL_DEG:
                x0, y0, x1, y1 = np.rint(box).astype(int)
                face = cv2.resize(image[y0:y1, x0:x1], (100, 100))
                eyes = np.array(cascade.detectMultiScale(face[10:62], 1.05, 2), float).reshape(-1, 4)
                middles = eyes[:, 0] + eyes[:, 2] / 2
                both.append((middles < 50).any() and (middles > 50).any())
    assert np.mean(both) >= 0.9
