"""Grades of faces, limits of a device, and places made of many sightings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_runtime.bundle import default_bundle_path, open_bundle
from edge_runtime.config import CameraSection, Config
from edge_runtime.faces.quality import FaceQuality
from edge_runtime.frames.opening import open_source
from edge_runtime.survey.places import Place, Places
from edge_runtime.survey.readability import Grade, Limits, grade_faces, limits_of
from edge_runtime.survey.scan import Sightings, ThoroughScan

LIMITS = Limits(readable_px=32, comfortable_px=48, found_px=30)
GOOD = {"width": 60.0, "brightness": 120.0, "contrast": 25.0, "sharpness": 0.05, "eyes": True, "away": False}


def quality(*faces: dict[str, float]) -> FaceQuality:
    rows = [GOOD | face for face in faces]
    columns = [
        np.array([row[name] for row in rows], np.float32) for name in ("width", "brightness", "contrast")
    ]
    sharpness = np.array([row["sharpness"] for row in rows], np.float32)
    eyes, away = (np.array([row[name] for row in rows], np.bool_) for name in ("eyes", "away"))
    return FaceQuality(*columns, sharpness, eyes, away)


@pytest.mark.parametrize(
    ("face", "grade"),
    [
        pytest.param({}, Grade.READABLE, id="all is well"),
        pytest.param({"width": 48.0}, Grade.READABLE, id="just comfortable"),
        pytest.param({"width": 47.0}, Grade.MARGINAL, id="not quite"),
        pytest.param({"width": 32.0}, Grade.MARGINAL, id="just readable"),
        pytest.param({"width": 31.9}, Grade.SMALL, id="below the network's least"),
        pytest.param(
            {"width": 20.0, "brightness": 10.0}, Grade.SMALL, id="small and dark: light would not help"
        ),
        pytest.param({"brightness": 40.0}, Grade.DARK, id="dark"),
        pytest.param({"contrast": 4.0}, Grade.DARK, id="flat"),
        pytest.param({"sharpness": 0.01}, Grade.MARGINAL, id="blurred"),
        pytest.param({"away": True}, Grade.TURNED, id="a profile, or a face bent over a book"),
        pytest.param({"away": True, "width": 20.0}, Grade.SMALL, id="turned away and small"),
    ],
)
def test_a_face_is_graded_by_what_stops_it(face: dict[str, float], grade: Grade) -> None:
    assert grade_faces(quality(face), LIMITS).tolist() == [grade]


def test_no_face_has_no_grade() -> None:
    empty = np.empty(0, np.float32)
    assert len(grade_faces(FaceQuality(empty, empty, empty, empty, *np.empty((2, 0), np.bool_)), LIMITS)) == 0


@pytest.mark.parametrize(
    ("frame_width", "scan_width", "least"),
    [
        pytest.param(960, 960, 32, id="the network decides"),
        pytest.param(1920, 960, 32, id="a 20 px window is 40 px of the frame, 30 px of face"),
        pytest.param(3840, 960, 80 / 1.33, id="the scan decides"),
        pytest.param(3840, 1920, 32, id="until it is told to look closer"),
    ],
)
def test_what_the_runtime_s_own_scan_cannot_find_is_not_promised(
    frame_width: int, scan_width: int, least: float
) -> None:
    config = Config.model_validate({"faces": {"scan_width_px": scan_width}})
    limits = limits_of(config, open_bundle(default_bundle_path()).manifest, frame_width)
    assert limits.least_px == pytest.approx(least, abs=0.1)
    assert limits.comfortable_px == 48


@pytest.mark.realdata
def test_a_head_that_turns_is_turned_away_first_and_readable_afterwards(shared_data: Path) -> None:
    config, manifest = Config(), open_bundle(default_bundle_path()).manifest
    scan = ThoroughScan(config, manifest, limits_of(config, manifest, 480))
    grades = []
    film = shared_data / "videos" / "head-pose-face-detection-female.gif"
    with open_source(CameraSection(source=str(film))) as source:
        for number in range(1, 16):
            image = source.read(5).image_bgr
            if number in (5, 10, 15):
                grades += scan(image).grades.tolist()
    assert grades == [Grade.TURNED, Grade.READABLE, Grade.READABLE]


def sightings(*faces: tuple[float, float, float, Grade, bool]) -> Sightings:
    """Faces at x, y, of this side and grade, with or without eyes."""
    boxes = np.array([[x - s / 2, y - s / 2, x + s / 2, y + s / 2] for x, y, s, _, _ in faces], np.float32)
    of = quality(*({"width": s / 1.33, "eyes": eyes} for _, _, s, _, eyes in faces))
    grades = np.array([grade for *_, grade, _ in faces], np.int8)
    return Sightings(boxes.reshape(-1, 4), grades, of, boxes.reshape(-1, 4))


def places_of(*scans: Sightings) -> tuple[Place, ...]:
    places = Places()
    for scan in scans:
        places.add(scan)
    return places.result()


def test_a_head_that_moves_a_little_is_one_place_and_its_neighbour_another() -> None:
    scans = [
        sightings((100 + d, 100 - d, 50, Grade.READABLE, True), (160 - d, 100, 50, Grade.SMALL, True))
        for d in (0, 6, -5, 9)
    ]
    found = places_of(*scans)
    assert [(round(place.x_px / 10) * 10, place.grade) for place in found] == [
        (100, Grade.READABLE),
        (160, Grade.SMALL),
    ]
    assert [place.seen_share for place in found] == [1, 1]


def test_a_place_is_what_it_was_most_of_the_time_and_a_tie_goes_to_the_worse() -> None:
    def grade(*grades: Grade) -> Grade:
        (place,) = places_of(*(sightings((100, 100, 60, one, True)) for one in grades))
        return place.grade

    assert grade(Grade.READABLE, Grade.READABLE, Grade.TURNED) is Grade.READABLE
    assert grade(Grade.READABLE, Grade.TURNED, Grade.READABLE, Grade.TURNED) is Grade.TURNED


def test_a_place_where_eyes_are_seldom_found_is_marginal() -> None:
    def grade(*eyes: bool) -> Grade:
        (place,) = places_of(*(sightings((100, 100, 60, Grade.READABLE, one)) for one in eyes))
        return place.grade

    assert grade(True, True, False, False) is Grade.READABLE
    assert grade(True, False, False, False) is Grade.MARGINAL
    assert grade(False, False) is Grade.READABLE  # too few to say


def test_a_glimpse_is_no_place() -> None:
    nobody = sightings()
    assert places_of(sightings((100, 100, 60, Grade.READABLE, True)), *[nobody] * 5) == ()
    assert len(places_of(sightings((100, 100, 60, Grade.READABLE, True)))) == 1  # a single photograph
    assert places_of() == ()
