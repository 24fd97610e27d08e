"""The survey as one picture: the room with its heat map, legend, distances, light, and what to change."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.errors import RoomtoneError
from edge_runtime.file_writing import write_whole
from edge_runtime.frames.frame import Image
from edge_runtime.survey.background import WIDTH_PX
from edge_runtime.survey.canvas import Canvas, Colour, wrapped
from edge_runtime.survey.focus import BLURRED, SOFT
from edge_runtime.survey.heat import Heat
from edge_runtime.survey.readability import Grade
from edge_runtime.survey.report import SurveyReport

# Told apart by people who see no red or no green, too (Okabe and Ito 2008).
COLOURS: Final[dict[Grade, Colour]] = {
    Grade.READABLE: (115, 158, 0),
    Grade.MARGINAL: (0, 159, 230),
    Grade.SMALL: (0, 94, 213),
    Grade.DARK: (178, 114, 0),
    Grade.TURNED: (167, 121, 204),
}
_PAPER, _INK, _GREY, _RULE = (252, 251, 250), (51, 41, 33), (128, 116, 107), (222, 217, 212)
_WORDS: Final = {"good": Grade.READABLE, "usable": Grade.MARGINAL, "poor": Grade.SMALL, "empty": Grade.DARK}
_MARGIN: Final = 28
HEADER: Final = 86
_LINE: Final = 23
_STRONGEST: Final = 0.7  # of the heat over the room
_COLUMNS: Final = (_MARGIN, 330, 850)  # legend, distances, light
_FURTHEST_M: Final = 10.0
_PRIVATE: Final = (
    "The room is a median over time, blurred, and blurred beyond recognition wherever a head was suspected. "
    "No frame of the survey was kept."
)


def draw(report: SurveyReport, room: Image, heat: Heat) -> Image:
    """Draws it.

    Args:
        report: with its verdict.
        room: without people, (h, w, 3) uint8.
        heat: of the same frames.

    Returns:
        (H, 1280, 3) uint8.
    """
    picture = _on_paper(room)
    advice = _advice_lines(report)
    middle = HEADER + picture.shape[0] + 18
    rows = max(len(Grade) + 2, len(report.seats.distances_m()) + 4, 8)
    advice_top = middle + rows * _LINE + 26
    canvas = Canvas(WIDTH_PX, advice_top + len(advice) * _LINE + 64, _PAPER)
    _header(canvas, report)
    canvas.picture(0, HEADER, _heated(picture, heat))
    _places(canvas, report, picture.shape[1] / report.width_px)
    _legend(canvas, report, _COLUMNS[0], middle)
    _distances(canvas, report, _COLUMNS[1], middle)
    _light(canvas, report, _COLUMNS[2], middle)
    canvas.line(_MARGIN, advice_top - 20, WIDTH_PX - _MARGIN, advice_top - 20, _RULE)
    for number, (line, is_first) in enumerate(advice):
        y = advice_top + (number + 0.4) * _LINE
        if is_first:
            canvas.disc(_MARGIN + 5, y - 5, 3.5, COLOURS[Grade.SMALL if report.advice else Grade.READABLE])
        canvas.text(_MARGIN + 18, y, line, size=16, colour=_INK)
    canvas.text(_MARGIN, canvas.height - 18, _PRIVATE, size=12.5, colour=_GREY)
    return canvas.finished()


def check_place(path: Path) -> None:
    """Asked before the survey begins: a minute in a room is not lost for a slip of the pen.

    Raises:
        RoomtoneError: the format is not known, or the folder is not there, or may not be written to.
    """
    if not cv2.haveImageWriter(path.name if path.suffix else f"{path.name}.png"):
        raise RoomtoneError(f"{path}: no picture format that is known", hint="name it .png or .jpg")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        problem = "may not be written to" if path.parent.is_dir() else "is no folder"
        raise RoomtoneError(f"{path} cannot be written: {path.parent} {problem}", hint="name another place")


def save(image: Image, path: Path) -> None:
    """Writes the picture, whole or not at all.

    Raises:
        RoomtoneError: the format is not known, or the file cannot be written.
    """
    try:
        is_encoded, data = cv2.imencode(path.suffix.lower() or ".png", image)
    except cv2.error:
        is_encoded = False
    if not is_encoded:
        raise RoomtoneError(f"{path}: no picture format that is known", hint="name it .png or .jpg")
    try:
        write_whole(path, data.tobytes())
    except OSError as exc:
        raise RoomtoneError(f"{path} cannot be written: {exc.strerror}", hint="name another place") from exc


def _on_paper(room: Image) -> Image:
    """The room, as wide as the paper."""
    height = max(1, round(room.shape[0] * WIDTH_PX / room.shape[1]))
    return np.asarray(cv2.resize(room, (WIDTH_PX, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def _heated(picture: Image, heat: Heat) -> Image:
    height, width = picture.shape[:2]
    total = heat.maps.sum(axis=0)
    colours = np.array([COLOURS[grade] for grade in Grade], np.float32)
    mixed = np.tensordot(heat.maps, colours, axes=(0, 0)) / np.maximum(total, 1e-6)[:, :, None]
    # A head that was seen half of the time is shown as strongly as one that was there always, nearly.
    strength = np.sqrt(np.clip(total / max(1e-6, float(np.percentile(total, 99.5))), 0, 1)) * _STRONGEST
    size = (width, height)
    colour: npt.NDArray[np.float32] = cv2.resize(mixed.astype(np.float32), size)
    share = cv2.resize(strength.astype(np.float32), size)[:, :, None]
    # A paler room lets the colours speak.
    pale = picture.astype(np.float32) * 0.82 + 255 * 0.18
    return np.asarray(np.rint(np.clip(pale * (1 - share) + colour * share, 0, 255)), np.uint8)


def _header(canvas: Canvas, report: SurveyReport) -> None:
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(report.ts))
    canvas.text(_MARGIN, 36, f"Site survey  {report.site} / {report.room}", size=27, colour=_INK, bold=True)
    canvas.text(_MARGIN, 66, report.verdict, size=17, colour=_INK)
    canvas.box(WIDTH_PX - _MARGIN - 120, 13, 120, 32, COLOURS[_WORDS[report.word]])
    middle = WIDTH_PX - _MARGIN - 60
    canvas.text(middle, 36, report.word.upper(), size=19, colour=(255, 255, 255), bold=True, align=0.5)
    about = f"{when}, {report.seconds:.0f} s, {report.width_px} x {report.height_px} px"
    canvas.text(WIDTH_PX - _MARGIN - 140, 34, about, size=14, colour=_GREY, align=1)


def _places(canvas: Canvas, report: SurveyReport, scale: float) -> None:
    """A tag with the face's width at each place. No rings: with a tag inside, cascades take them for faces."""
    for place in report.places:
        x, y = place.x_px * scale, HEADER + place.y_px * scale
        label = f"{place.face_px:.0f}"
        width = 10.5 * len(label) + 12
        canvas.box(x - width / 2 - 1.5, y - 12.5, width + 3, 25, (255, 255, 255))
        canvas.box(x - width / 2, y - 11, width, 22, COLOURS[place.grade])
        canvas.text(x, y + 6, label, size=17, colour=(255, 255, 255), bold=True, align=0.5)


def _title(canvas: Canvas, x: float, y: float, words: str) -> None:
    canvas.text(x, y + 14, words, size=17, colour=_INK, bold=True)


def _legend(canvas: Canvas, report: SurveyReport, x: float, y: float) -> None:
    _title(canvas, x, y, "Places, and face widths in px")
    for number, grade in enumerate(Grade, start=1):
        line = y + 14 + number * _LINE + 3
        canvas.box(x, line - 13, 16, 16, COLOURS[grade])
        canvas.text(x + 26, line, grade.words, size=16, colour=_INK)
        canvas.text(x + 190, line, str(report.count(grade)), size=16, colour=_INK, bold=True, align=1)
    about = f"readable from {report.limits.least_px:.0f} px, well from {report.limits.comfortable_px:.0f} px"
    for number, words in enumerate(wrapped(about, 250, 13.5), start=len(Grade) + 1):
        canvas.text(x, y + 20 + number * _LINE, words, size=13.5, colour=_GREY)


def _distances(canvas: Canvas, report: SurveyReport, x: float, y: float) -> None:
    _title(canvas, x, y, f"Distance, with a lens of {report.lens.degrees:g} deg across {report.width_px} px")
    width, top = 470.0, y + 30
    furthest = max(_FURTHEST_M, 1.05 * max(report.seats.distances_m()))
    at = [0.0, min(report.comfortable_m, furthest), min(report.readable_m, furthest), furthest]
    for grade, start, end in zip((Grade.READABLE, Grade.MARGINAL, Grade.SMALL), at, at[1:], strict=False):
        canvas.box(x + start / furthest * width, top, (end - start) / furthest * width, 16, COLOURS[grade])
    for metres in range(0, int(furthest) + 1, 2):
        place = x + metres / furthest * width
        canvas.line(place, top + 16, place, top + 21, _GREY)
        canvas.text(place, top + 35, f"{metres} m", size=13, colour=_GREY, align=0.5 if metres else 0)
    for number, distance in enumerate(report.seats.distances_m(), start=1):
        place, line = x + distance / furthest * width, top + 40 + number * _LINE
        grade = report.grade_at(distance)
        canvas.line(place, top - 3, place, top + 16, _INK, 1.5)
        canvas.box(x, line - 12, 14, 14, COLOURS[grade])
        canvas.text(x + 24, line, f"row {number}", size=16, colour=_INK)
        canvas.text(x + 150, line, f"{distance:.1f} m", size=16, colour=_INK, align=1)
        canvas.text(x + 245, line, f"{report.lens.face_px(distance):.0f} px", size=16, colour=_INK, align=1)
        canvas.text(x + 275, line, grade.words, size=16, colour=_INK)


def _light(canvas: Canvas, report: SurveyReport, x: float, y: float) -> None:
    _title(canvas, x, y, "Light and focus")
    light = report.light
    faces = "no faces" if light.face_brightness is None else f"{light.face_brightness:.0f} of 255"
    focus = "blurred" if light.detail < BLURRED else "soft" if light.detail < SOFT else "sharp"
    told = [beat for beat in light.beats if beat.amplitude is not None]
    seen = [beat for beat in told if beat.is_seen]
    flicker = ", ".join(f"{beat.mains_hz} Hz mains" for beat in seen) or (
        "none seen" if told else "cannot be told"
    )
    lines = [
        ("brightness", f"{light.exposure.mean:.0f} of 255", light.exposure.is_dark),
        ("plain white", f"{light.exposure.white_share:.0%}", light.exposure.is_burnt),
        ("on faces", faces, report.count(Grade.DARK) > 0),
        ("against the light", "yes" if light.is_backlit else "no", light.is_backlit),
        ("focus", focus, light.detail < SOFT),
        ("flicker", flicker, bool(seen)),
        ("frame rate", "-" if report.fps is None else f"{report.fps:.1f} frames/s", False),
    ]
    for number, (name, value, is_wrong) in enumerate(lines, start=1):
        line = y + 14 + number * _LINE + 3
        canvas.disc(x + 6, line - 5, 5, COLOURS[Grade.SMALL if is_wrong else Grade.READABLE])
        canvas.text(x + 24, line, name, size=16, colour=_INK)
        canvas.text(x + 190, line, value, size=16, colour=_INK)


def _advice_lines(report: SurveyReport) -> list[tuple[str, bool]]:
    """Lines of text, and whether each begins a piece of advice."""
    texts = [f"{item.what}: {item.change}" for item in report.advice] or ["nothing to change"]
    return [
        (line, number == 0)
        for text in texts
        for number, line in enumerate(wrapped(text, WIDTH_PX - 2 * _MARGIN - 18, 16))
    ]
