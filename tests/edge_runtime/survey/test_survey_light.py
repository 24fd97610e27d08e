"""Flicker, focus and exposure on pictures whose fault is made on purpose."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.config import CameraSection
from edge_runtime.frames.frame import EndOfSource
from edge_runtime.frames.opening import open_source
from edge_runtime.survey.exposure import measure_exposure
from edge_runtime.survey.flicker import LightSeries, alias_hz
from edge_runtime.survey.focus import BLURRED, SOFT, detail


@pytest.fixture(scope="module")
def lesson() -> list[np.ndarray]:
    """Seven seconds of heads that move."""
    frames = []
    with open_source(
        CameraSection(source="simulated://students=6,seed=7,width=320,height=180,seconds=14")
    ) as film:
        try:
            while len(frames) < 200:
                frames.append(film.read().image_bgr)
        except EndOfSource:
            pass
    return frames


def seen(frames: list[np.ndarray], fps: float, pulse_hz: float, strength: float) -> dict[int, bool | None]:
    """Mains frequency → whether its flicker was seen, None where it cannot be told.

    A rolling shutter reads row by row during nine tenths of the frame's time, while the lamps pulse.
    """
    series, height = LightSeries(), frames[0].shape[0]
    for number, frame in enumerate(frames):
        row_times = (number + 0.9 * np.arange(height) / height) / fps
        lamps = 1 + strength * np.sin(2 * np.pi * pulse_hz * row_times)
        series.add(np.clip(frame * lamps[:, None, None], 0, 255).astype(np.uint8), number / fps)
    return {beat.mains_hz: None if beat.amplitude is None else beat.is_seen for beat in series.beats()}


@pytest.mark.parametrize(
    ("pulse_hz", "fps", "beat_hz"),
    [
        (100, 30, 10),
        (120, 25, 5),
        (100, 24, 4),
        (100, 25, 0),
        (120, 30, 0),
        (100, 29.97, 10.09),
        (120, 50, 20),
    ],
)
def test_where_a_pulse_shows(pulse_hz: float, fps: float, beat_hz: float) -> None:
    assert alias_hz(pulse_hz, fps) == pytest.approx(beat_hz, abs=0.01)


@pytest.mark.parametrize(
    ("fps", "pulse_hz", "expected"),
    [
        pytest.param(30, 100, {50: True, 60: None}, id="50 Hz at 30 frames/s"),
        pytest.param(29.97, 100, {50: True, 60: None}, id="50 Hz at 29.97 frames/s"),
        pytest.param(25, 120, {50: None, 60: True}, id="60 Hz at 25 frames/s"),
        pytest.param(24, 100, {50: True, 60: None}, id="50 Hz at 24 frames/s"),
        pytest.param(25, 100, {50: None, 60: False}, id="bands that stand still"),
    ],
)
def test_flicker_of_two_per_cent_is_seen_and_named_by_its_mains(
    lesson: list[np.ndarray], fps: float, pulse_hz: float, expected: dict[int, bool | None]
) -> None:
    assert seen(lesson[:170], fps, pulse_hz, 0.02) == expected


@pytest.mark.parametrize("fps", [30, 25, 24, 15])
def test_moving_heads_are_no_flicker(lesson: list[np.ndarray], fps: float) -> None:
    assert True not in seen(lesson, fps, 100, 0.0).values()


def test_frames_that_were_dropped_do_not_hide_it(lesson: list[np.ndarray]) -> None:
    series, fps = LightSeries(), 30.0
    keep = np.random.default_rng(5).random(len(lesson)) > 0.2
    for number, frame in enumerate(lesson):
        if keep[number]:
            lamp = 1 + 0.03 * np.sin(2 * np.pi * 100 * number / fps)
            series.add(np.clip(frame * lamp, 0, 255).astype(np.uint8), number / fps)
    assert [beat.is_seen for beat in series.beats() if beat.mains_hz == 50] == [True]


def test_too_few_frames_say_nothing(lesson: list[np.ndarray]) -> None:
    assert seen(lesson[:60], 30, 100, 0.1) == {}
    series = LightSeries()
    series.add(np.zeros((4, 4, 3), np.uint8), 0.0)
    assert series.fps is None
    assert series.beats() == ()


def test_focus_falls_with_blur_and_an_even_wall_is_not_out_of_focus(lesson: list[np.ndarray]) -> None:
    grey = cv2.cvtColor(lesson[0], cv2.COLOR_BGR2GRAY)
    values = [detail(grey), *(detail(cv2.GaussianBlur(grey, (0, 0), width)) for width in (1, 2, 4))]
    assert values == sorted(values, reverse=True)
    assert values[0] > SOFT
    assert values[3] < BLURRED
    assert detail(np.full((40, 40), 90, np.uint8)) == 1.0


@pytest.mark.realdata
@pytest.mark.parametrize(
    "name", ["mosaic_1080p.mp4", "single_face.mp4", "WolfgangLanger_Pexels.mp4", "classroom.gif"]
)
def test_real_films_are_in_focus_until_they_are_blurred(shared_data: Path, name: str) -> None:
    with open_source(CameraSection(source=str(shared_data / "videos" / name))) as film:
        grey = film.read(5).image_bgr[:, :, 1]
    assert detail(np.ascontiguousarray(grey)) > SOFT
    assert detail(cv2.GaussianBlur(grey, (0, 0), 3)) < BLURRED


def test_exposure_tells_dark_bright_and_covered_apart() -> None:
    rng = np.random.default_rng(2)
    room = rng.integers(60, 180, (90, 160, 3), np.uint8)
    assert not measure_exposure(room).is_dark
    assert measure_exposure((room / 3).astype(np.uint8)).is_dark
    assert measure_exposure(rng.integers(0, 4, (90, 160), np.uint8)).is_covered
    window = room.copy()
    window[:, :40] = 255
    assert measure_exposure(window).is_burnt
    assert measure_exposure(window).white_share == pytest.approx(0.25)
