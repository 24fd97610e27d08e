"""What the numbers mean to somebody on a ladder."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge_runtime.config import Config
from edge_runtime.survey.exposure import Exposure
from edge_runtime.survey.flicker import Beat
from edge_runtime.survey.geometry import Lens
from edge_runtime.survey.places import Place
from edge_runtime.survey.readability import Grade, Limits
from edge_runtime.survey.report import Light, Room, SurveyReport
from edge_runtime.survey.verdict import judged

GOOD_LIGHT = Light(Exposure(120, 50, 0.0, 0.01), detail=0.4, face_brightness=120, beats=())


def place(grade: Grade, face_px: float = 60.0, **changes: float) -> Place:
    standard = Place(100, 100, face_px, grade, 1.0, {grade: 9}, 0.8, 120, 0.05)
    return replace(standard, **changes)  # type: ignore[arg-type]


def report(
    *places: Place, light: Light = GOOD_LIGHT, found_px: float = 30, seats: Room | None = None
) -> SurveyReport:
    measured = SurveyReport(
        source="0", site="north", room="r12", width_px=1920, height_px=1080, fps=30, seconds=60, scans=60,
        lens=Lens(1920, 90), seats=seats or Room(), limits=Limits(32, 48, found_px), places=places, light=light,
    )  # fmt: skip
    return judged(measured, Config())


def changes(found: SurveyReport) -> str:
    return " | ".join(f"{item.what} → {item.change}" for item in found.advice)


READ, MARGINAL, SMALL = place(Grade.READABLE), place(Grade.MARGINAL, 40), place(Grade.SMALL, 16)


@pytest.mark.parametrize(
    ("places", "word"),
    [
        pytest.param([READ] * 9 + [SMALL], "good", id="nine of ten"),
        pytest.param([READ] * 8 + [SMALL] * 2, "usable", id="eight of ten"),
        pytest.param([READ] * 4 + [MARGINAL] * 6, "usable", id="all, but most only just"),
        pytest.param([READ] * 4 + [SMALL] * 6, "poor", id="four of ten"),
        pytest.param([], "empty", id="nobody"),
    ],
)
def test_the_word_follows_the_share_of_places_that_can_be_read(places: list[Place], word: str) -> None:
    assert report(*places).word == word


def test_the_verdict_names_how_far_the_lens_reaches_in_metres_and_rows() -> None:
    # 960 px · 0.14 m / 32 px = 4.2 m; rows at 2.0, 3.2 and 4.4 m.
    assert "reads up to 4.2 m (rows 1 to 2)" in report(READ).verdict
    assert "(row 1)" in report(READ, seats=Room(3, 4.0, 1.0)).verdict
    assert "(no row)" in report(READ, seats=Room(3, 5.0, 1.0)).verdict


def test_what_is_too_small_is_told_in_metres_degrees_and_pixels() -> None:
    # 16 px is half of what is readable: 8.4 m instead of 4.2 m, 53° instead of 90°, 3840 px instead of 1920.
    said = changes(report(SMALL, READ))
    assert "move the camera 4.2 m nearer, or zoom to 53 degrees, or a picture 3840 px wide" in said


def test_what_is_only_just_wide_enough_may_come_nearer_too() -> None:
    # 40 px want to be 48: 3.36 m are to become 2.8 m.
    said = changes(report(MARGINAL, MARGINAL, READ))
    assert "2 places are only just wide enough, the farthest 40 px" in said
    assert "0.6 m nearer" in said
    assert "nearer" not in changes(report(MARGINAL, READ, READ, READ))


def test_a_scan_that_shrinks_too_far_is_named_with_its_key() -> None:
    assert "scan_width_px" not in changes(report(READ))
    assert "set faces.scan_width_px = 1800" in changes(report(READ, found_px=60))


@pytest.mark.parametrize(
    ("light", "words"),
    [
        pytest.param(replace(GOOD_LIGHT, exposure=Exposure(4, 1, 1, 0)), "lens cover", id="covered"),
        pytest.param(replace(GOOD_LIGHT, detail=0.1), "focus ring", id="out of focus"),
        pytest.param(replace(GOOD_LIGHT, detail=0.2), "a little soft", id="soft"),
        pytest.param(
            replace(GOOD_LIGHT, exposure=Exposure(150, 80, 0, 0.1), face_brightness=50),
            "blinds",
            id="backlight",
        ),
        pytest.param(replace(GOOD_LIGHT, exposure=Exposure(200, 60, 0, 0.3)), "plain white", id="burnt"),
        pytest.param(
            replace(GOOD_LIGHT, beats=(Beat(50, 10.0, 0.03, is_seen=True),)),
            "power_line_frequency=1",
            id="50 Hz",
        ),
        pytest.param(
            replace(GOOD_LIGHT, beats=(Beat(60, 5.0, 0.03, is_seen=True),)),
            "power_line_frequency=2",
            id="60 Hz",
        ),
    ],
)
def test_light_and_focus_have_their_advice(light: Light, words: str) -> None:
    assert words in changes(report(READ, light=light))


@pytest.mark.parametrize(
    ("places", "words"),
    [
        pytest.param([place(Grade.DARK, brightness=30)] * 3, "too dark", id="dark faces"),
        pytest.param([place(Grade.TURNED)] * 3, "beside the board", id="turned away"),
        pytest.param([place(Grade.MARGINAL, eyes_share=0.1)] * 3, "lower the camera", id="no eyes"),
        pytest.param([place(Grade.MARGINAL, sharpness=0.01)] * 3, "focus ring", id="blurred faces"),
    ],
)
def test_faces_have_their_advice(places: list[Place], words: str) -> None:
    assert words in changes(report(*places))


def test_a_good_room_has_no_advice() -> None:
    assert report(*[READ] * 10).advice == ()


def test_the_report_holds_numbers_and_no_pixels() -> None:
    document = report(READ, SMALL).to_json()
    assert document["places"][0].keys() == {
        "x", "y", "face_px", "distance_m", "grade", "seen_share", "eyes_share", "brightness", "sharpness",
    }  # fmt: skip
