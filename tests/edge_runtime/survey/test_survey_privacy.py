"""Nobody is in the survey's picture: no detector finds a face there, on real people who sit still and look up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.bundle import default_bundle_path, open_bundle
from edge_runtime.config import Config
from edge_runtime.frames.opening import open_source
from edge_runtime.survey.background import Background, hide_people
from edge_runtime.survey.drawing import HEADER, draw, save
from edge_runtime.survey.surveyor import Surveyor, watch

CLIPS = ["videos/mosaic_1080p.mp4", "images/group_6.jpg", "videos/single_face.mp4"]
SCALES = (1.0, 2.0)  # YuNet's; the cascades have scales of their own

Finder = Callable[[np.ndarray], int]


@pytest.fixture(scope="module")
def find_faces(request: pytest.FixtureRequest) -> Finder:
    """How many faces Haar's cascades and YuNet find at three sizes, all together."""
    folder = request.getfixturevalue("shared_data")
    yunet = cv2.FaceDetectorYN.create(
        str(folder / "models" / "yunet_n_320_320.onnx"), "", (320, 320), 0.6, 0.3
    )
    names = ("frontalface_default", "frontalface_alt", "frontalface_alt2")
    cascades = [cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_{name}.xml") for name in names]

    def find(image: np.ndarray) -> int:
        count = 0
        for scale in SCALES:
            sized = cv2.resize(image, None, fx=scale, fy=scale)
            yunet.setInputSize((sized.shape[1], sized.shape[0]))
            found = yunet.detect(sized)[1]
            count += 0 if found is None else len(found)
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        return count + sum(len(cascade.detectMultiScale(grey, 1.1, 3)) for cascade in cascades)

    return find


def survey_of(source: str, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """A frame of the source, and the room in the picture as it was written, between head line and legend."""
    config = Config.model_validate({"camera": {"source": source}})
    manifest = open_bundle(default_bundle_path()).manifest
    with open_source(config.camera) as film:
        frame = film.read(5)
    with (
        open_source(config.camera) as film,
        Surveyor(config, manifest, waits_for_scans=True, every_s=6) as surveyor,
    ):
        watch(film, surveyor, 60, lambda done, heads: None)
        assert surveyor.heat is not None
        save(draw(surveyor.report(), surveyor.empty_room(), surveyor.heat), folder / "survey.png")
    picture = cv2.imread(str(folder / "survey.png"))
    height, width = frame.image_bgr.shape[:2]
    frame_bgr = cv2.resize(frame.image_bgr, (960, round(960 * height / width)), interpolation=cv2.INTER_AREA)
    return frame_bgr, picture[HEADER : HEADER + round(picture.shape[1] * height / width)]


@pytest.mark.realdata
@pytest.mark.parametrize("clip", CLIPS)
def test_no_face_can_be_found_in_the_picture(
    clip: str, shared_data: Path, tmp_path: Path, find_faces: Finder
) -> None:
    frame, picture = survey_of(str(shared_data / clip), tmp_path)
    assert find_faces(frame) > 0  # the finders work
    assert find_faces(picture) == 0


@pytest.mark.realdata
def test_a_face_that_the_survey_never_saw_is_dissolved_too(shared_data: Path, find_faces: Finder) -> None:
    with open_source(
        Config.model_validate({"camera": {"source": str(shared_data / CLIPS[1])}}).camera
    ) as photo:
        image = photo.read(5).image_bgr
    nobody = np.empty((0, 4), np.float32)
    small = cv2.resize(image, (960, 720), interpolation=cv2.INTER_AREA)
    assert find_faces(small) > 0
    assert find_faces(hide_people(small, nobody, nobody)) == 0


def test_who_moves_is_not_in_the_median() -> None:
    background = Background()
    for step in range(12):
        frame = np.full((90, 160, 3), 100, np.uint8)
        frame[20:70, 12 * step : 12 * step + 12] = 255  # a bright figure walks through
        background.offer(frame)
    assert np.array_equal(background.median(), np.full((90, 160, 3), 100, np.uint8))


@pytest.mark.parametrize("offered", [0, 1, 14, 15, 16, 100, 1000])
def test_few_frames_are_kept_however_many_come_and_they_span_the_whole_time(offered: int) -> None:
    background = Background()
    for number in range(offered):
        background.offer(np.full((2, 2, 3), number * 250 // max(1, offered), np.uint8))
    kept = [int(image[0, 0, 0]) for image in background._kept]
    assert len(kept) <= 15
    if offered:
        assert kept[0] == 0
        assert kept[-1] > 190 or offered < 15
    else:
        assert background.median() is None


def test_a_hidden_head_has_nothing_left_of_its_features() -> None:
    rng = np.random.default_rng(4)
    image = rng.integers(0, 256, (200, 300, 3), np.uint8)
    head = np.array([[120, 60, 180, 120]], np.float32)
    hidden = hide_people(image, head, head)
    assert hidden[70:110, 130:170].std() < 3  # noise of 74 before
    assert image[70:110, 130:170].std() > 60
