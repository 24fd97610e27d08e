"""Eyes, brows, nostrils, mouth and glasses: everything with a sharp border inside the face.

All functions draw into the fine canvas; outlines are in its pixels, `unit_px` is the distance between the
pupils there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from edge_runtime.frames.frame import Image
from edge_runtime.frames.simulation.appearance import Appearance, Colour, Light
from edge_runtime.frames.simulation.controls import CONTROL_INDEX, FloatArray
from edge_runtime.frames.simulation.skin import lit
from edge_runtime.frames.simulation.strokes import ellipse, fill, lines, ring

Outline = Mapping[str, FloatArray]

_IRIS_RADIUS: Final = 0.118
_PUPIL_RADIUS: Final = 0.055
_PUPIL: Final = (12, 12, 14)
_GLINT: Final = np.array([-0.035, -0.04], np.float32)
_NO_GAP_PX: Final = 0.6  # lips closer than this are closed
_SIDES: Final = ("left", "right")
_JAW_DROP: Final = CONTROL_INDEX["jaw_drop"]


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of one person's features in the light of the room; BGR, 0–255."""

    brow: Colour
    lash: Colour
    white: Colour
    white_shaded: Colour
    glint: Colour
    iris: Colour
    iris_rim: Colour
    crease: Colour
    nostril: Colour
    lip_top: Colour
    lip_bottom: Colour
    lip_shine: Colour
    lip_line: Colour
    mouth: Colour
    tongue: Colour
    teeth: Colour
    rim: Colour

    @classmethod
    def of(cls, appearance: Appearance, light: Light) -> Palette:
        """Mixes the palette."""
        skin, hair, eyes = appearance.skin_bgr, appearance.hair_bgr, appearance.eyes_bgr
        hair = (25.0, 28.0, 34.0) if appearance.hair == "headscarf" else hair
        lips = (
            _mixed(skin, (95, 85, 190), 0.38)
            if appearance.skin_tone < 4
            else _mixed(skin, (85, 70, 150), 0.40)
        )
        colours = {
            "brow": _scaled(_mixed(hair, skin, 0.12), 0.75),
            "lash": (24.0, 22.0, 26.0),
            "white": (226.0, 228.0, 230.0),
            "white_shaded": (163.0, 164.0, 166.0),
            "glint": (250.0, 250.0, 250.0),
            "iris": eyes,
            "iris_rim": _scaled(eyes, 0.45),
            "crease": _scaled(skin, 0.66),
            "nostril": _scaled(skin, 0.34),
            "lip_top": _scaled(lips, 0.80),
            "lip_bottom": _scaled(lips, 0.97),
            "lip_shine": _mixed(lips, (235, 230, 245), 0.28),
            "lip_line": _scaled(lips, 0.42),
            "mouth": (34.0, 26.0, 60.0),
            "tongue": (96.0, 88.0, 170.0),
            "teeth": (222.0, 230.0, 236.0),
            "rim": (52.0, 50.0, 58.0),
        }
        return cls(**{name: lit(colour, light) for name, colour in colours.items()})


def _scaled(colour: Colour, gain: float) -> Colour:
    return (colour[0] * gain, colour[1] * gain, colour[2] * gain)


def _mixed(first: Colour, second: Colour, share: float) -> Colour:
    blue, green, red = (a + (b - a) * share for a, b in zip(first, second, strict=True))
    return (blue, green, red)


def paint_eyes(
    canvas: Image, outline: Outline, pupils_xy: FloatArray, palette: Palette, unit_px: float
) -> None:
    """Paints both eyes, cut out by their lids, with lashes and creases."""
    tops = [outline[f"lid_top_{side}"] for side in _SIDES]
    bottoms = [outline[f"lid_bottom_{side}"] for side in _SIDES]
    x0, y0, x1, y1 = _clipped_bounds(np.concatenate([*tops, *bottoms]), canvas)
    if x1 > x0 and y1 > y0:
        region = canvas[y0:y1, x0:x1]
        corner = np.array([x0, y0], np.float32)
        balls = np.empty_like(region)
        balls[:] = palette.white
        lines(balls, [top - corner for top in tops], palette.white_shaded, 0.07 * unit_px)  # the lid's shadow
        mask = np.zeros(region.shape[:2], np.uint8)
        radius = _IRIS_RADIUS * unit_px
        for top, bottom, iris in zip(tops, bottoms, pupils_xy - corner, strict=True):
            ellipse(balls, iris, (radius, radius), palette.iris_rim)
            ellipse(balls, iris, (0.8 * radius, 0.8 * radius), palette.iris)
            ellipse(balls, iris, (_PUPIL_RADIUS * unit_px, _PUPIL_RADIUS * unit_px), _PUPIL)
            ellipse(balls, iris + _GLINT * unit_px, (0.025 * unit_px, 0.025 * unit_px), palette.glint)
            fill(mask, np.concatenate([top, bottom[::-1]]) - corner, (255,))
        cv2.copyTo(balls, mask, region)
    creases = [outline[f"crease_{side}"] for side in _SIDES]
    lines(canvas, creases + bottoms, palette.crease, 0.03 * unit_px)
    lines(canvas, tops, palette.lash, 0.05 * unit_px)


def paint_brows(canvas: Image, outline: Outline, palette: Palette) -> None:
    """Paints both eyebrows."""
    for side in _SIDES:
        fill(
            canvas,
            np.concatenate([outline[f"brow_top_{side}"], outline[f"brow_bottom_{side}"][::-1]]),
            palette.brow,
        )


def paint_nostrils(canvas: Image, outline: Outline, palette: Palette, unit_px: float) -> None:
    """Paints both nostrils."""
    lines(canvas, [outline[f"nostril_{side}"] for side in _SIDES], palette.nostril, 0.055 * unit_px)


def paint_mouth(
    canvas: Image, outline: Outline, controls: FloatArray, palette: Palette, unit_px: float
) -> None:
    """Paints lips and, where they part, teeth and tongue."""
    top, top_inner = outline["lip_top"], outline["lip_top_inner"]
    bottom, bottom_inner = outline["lip_bottom"], outline["lip_bottom_inner"]
    fill(canvas, np.concatenate([bottom, bottom_inner[::-1]]), palette.lip_bottom)
    fill(canvas, np.concatenate([top, top_inner[::-1]]), palette.lip_top)
    lines(canvas, [outline["lip_shine"]], palette.lip_shine, 0.045 * unit_px)
    middle = len(top_inner) // 2
    if float(np.linalg.norm(bottom_inner[middle] - top_inner[middle])) < _NO_GAP_PX + 0.02 * unit_px:
        lines(canvas, [outline["lip_line"]], palette.lip_line, 0.035 * unit_px)
        return
    opening = np.concatenate([top_inner, bottom_inner[::-1]])
    x0, y0, x1, y1 = _clipped_bounds(opening, canvas)
    if x1 <= x0 or y1 <= y0:
        return
    region = canvas[y0:y1, x0:x1]
    corner = np.array([x0, y0], np.float32)
    inside = np.empty_like(region)
    inside[:] = palette.mouth
    tongue = bottom_inner[middle] - corner + (0, 0.02 * unit_px)
    ellipse(
        inside,
        tongue,
        (0.22 * unit_px, 0.10 * unit_px + 0.06 * unit_px * float(controls[_JAW_DROP])),
        palette.tongue,
    )
    fill(inside, np.concatenate([top_inner, outline["teeth_top"][::-1]]) - corner, palette.teeth)
    mask = np.zeros(region.shape[:2], np.uint8)
    fill(mask, opening - corner, (255,))
    cv2.copyTo(inside, mask, region)
    lines(canvas, [top_inner], palette.lip_line, 0.02 * unit_px)


def paint_glasses(
    canvas: Image, rims_xy: FloatArray, palette: Palette, unit_px: float, roll_deg: float
) -> None:
    """Paints thin rims.

    Args:
        canvas: (H, W, 3) uint8.
        rims_xy: (6, 2): image-left lens, image-right lens, both ends of the bridge, both hinges.
        palette: the rims' colour is among it.
        unit_px: distance between the pupils.
        roll_deg: tilt of the head.
    """
    width = 0.04 * unit_px
    for centre in rims_xy[:2]:
        ring(canvas, centre, (0.37 * unit_px, 0.28 * unit_px), palette.rim, width, roll_deg)
    lines(canvas, [rims_xy[2:4]], palette.rim, width)
    ends = np.stack(
        [rims_xy[:2] + np.array([(-0.37, 0), (0.37, 0)], np.float32) * unit_px, rims_xy[4:]], axis=1
    )
    lines(canvas, list(ends), palette.rim, width)


def _clipped_bounds(points: FloatArray, canvas: Image) -> tuple[int, int, int, int]:
    """The pixels that a polygon touches and the canvas has; empty when it lies outside."""
    low, high = np.floor(points.min(axis=0)).astype(int) - 1, np.ceil(points.max(axis=0)).astype(int) + 2
    height, width = canvas.shape[:2]
    return max(int(low[0]), 0), max(int(low[1]), 0), min(int(high[0]), width), min(int(high[1]), height)
