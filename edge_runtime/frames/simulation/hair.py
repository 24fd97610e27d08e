"""Hair, ears and neck: what surrounds the face.

The outer border of a head hardly changes when it turns, so these outlines follow roll and place of the head
only; the hairline itself is an outline of the face (`contours`) and turns with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from edge_runtime.frames.frame import Image
from edge_runtime.frames.simulation.appearance import Colour, HairStyle
from edge_runtime.frames.simulation.contours import spline_matrix
from edge_runtime.frames.simulation.controls import FloatArray
from edge_runtime.frames.simulation.strokes import ellipse, fill, lines

# Outer borders, image-right half from the crown down, in head coordinates; mirrored for the other half.
_CRANIUM: Final = ((0.0, -1.42), (0.55, -1.34), (0.92, -1.05), (1.11, -0.60), (1.15, -0.10))
_OUTER: Final[Mapping[HairStyle, tuple[tuple[float, float], ...]]] = {
    "short": ((0.0, -1.60), (0.58, -1.52), (1.00, -1.18), (1.22, -0.65), (1.20, -0.20), (1.15, 0.12)),
    "crop": ((0.0, -1.47), (0.56, -1.39), (0.95, -1.08), (1.15, -0.62), (1.17, -0.20), (1.14, 0.10)),
    "fringe": ((0.0, -1.62), (0.62, -1.54), (1.05, -1.18), (1.26, -0.65), (1.26, -0.20), (1.18, 0.22)),
    "bob": ((0.0, -1.60), (0.62, -1.52), (1.06, -1.18), (1.30, -0.62), (1.38, 0.20), (1.15, 0.20)),
    "long": ((0.0, -1.58), (0.60, -1.50), (1.02, -1.16), (1.26, -0.62), (1.32, 0.20), (1.14, 0.20)),
    "afro": ((0.0, -2.02), (0.80, -1.88), (1.40, -1.40), (1.68, -0.72), (1.58, -0.05), (1.15, 0.10)),
    "bun": ((0.0, -1.50), (0.56, -1.43), (0.96, -1.12), (1.17, -0.63), (1.18, -0.20), (1.14, 0.08)),
    "headscarf": ((0.0, -1.60), (0.62, -1.50), (1.05, -1.15), (1.28, -0.60), (1.32, 0.20), (1.22, 1.15)),
}
# What hangs down behind face and neck.
_BEHIND: Final[Mapping[HairStyle, tuple[tuple[float, float], ...]]] = {
    "bob": (
        (0.0, -1.50),
        (1.05, -1.10),
        (1.36, -0.30),
        (1.44, 0.60),
        (1.40, 1.35),
        (1.00, 1.55),
        (0.0, 1.50),
    ),
    "long": (
        (0.0, -1.50),
        (1.00, -1.10),
        (1.30, -0.30),
        (1.38, 0.70),
        (1.45, 1.70),
        (1.25, 2.55),
        (0.0, 2.60),
    ),
    "headscarf": (
        (0.0, -1.50),
        (1.05, -1.10),
        (1.32, -0.30),
        (1.34, 0.70),
        (1.25, 1.60),
        (1.45, 2.30),
        (0.0, 2.55),
    ),
    "afro": (
        (0.0, -1.95),
        (0.80, -1.80),
        (1.40, -1.35),
        (1.66, -0.70),
        (1.56, 0.0),
        (1.10, 0.50),
        (0.0, 0.60),
    ),
}
_HAIRLINE: Final[Mapping[HairStyle, str]] = {
    "short": "hairline_side",
    "crop": "hairline_high",
    "fringe": "hairline_fringe",
    "bob": "hairline_fringe",
    "long": "hairline_side",
    "afro": "hairline_high",
    "bun": "hairline_high",
    "headscarf": "hairline_scarf",
}
_HIDES_EARS: Final = frozenset({"bob", "long", "headscarf"})
_ACROSS: Final = np.linspace(0.12, 0.88, 9)
_BUN: Final = (0.0, -1.72)


def _both_halves(half: tuple[tuple[float, float], ...]) -> FloatArray:
    """From the lower end on the image's right over the crown to the image's left."""
    right = np.array(half, np.float32)
    left = right[1:] * (-1, 1) if right[0, 0] == 0 else right * (-1, 1)
    control = np.concatenate([right[::-1], left])
    return np.asarray(spline_matrix(len(control)) @ control, np.float32)


CRANIUM: Final = _both_halves(_CRANIUM)


class HairPainter:
    """Paints hair, ears and neck of one person.

    Args:
        style: the hair's.
        hair_bgr, skin_bgr: colours in the room's light.
        face_width: proportion of the face.
    """

    def __init__(self, style: HairStyle, hair_bgr: Colour, skin_bgr: Colour, face_width: float) -> None:
        self._style: HairStyle = style
        self._hair, self._skin = hair_bgr, skin_bgr
        widen = np.array([face_width, 1.0], np.float32)
        self._outer = _both_halves(_OUTER[style]) * widen
        self._behind = _both_halves(_BEHIND[style]) * widen if style in _BEHIND else None

    def paint_behind(
        self, canvas: Image, roll: FloatArray, ears_xy: FloatArray, collar_xy: FloatArray, unit_px: float
    ) -> None:
        """Paints what lies behind the face: hanging hair, bun, neck, ears.

        Args:
            canvas: (H, W, 3) uint8.
            roll: (2, 3) transform of flat head coordinates to pixels.
            ears_xy: (2, 2) middles of the ears.
            collar_xy: (2,) where the neck meets the body.
            unit_px: distance between the pupils.
        """
        dark = _shaded(self._hair, 0.72)
        if self._behind is not None:
            fill(canvas, _moved(self._behind, roll), dark)
        if self._style == "bun":
            centre = _moved(np.array([_BUN], np.float32), roll)[0]
            ellipse(canvas, centre, (0.42 * unit_px, 0.36 * unit_px), self._hair)
        self._paint_neck(canvas, roll, collar_xy, unit_px)
        if self._style not in _HIDES_EARS:
            for ear in ears_xy:
                ellipse(canvas, ear, (0.13 * unit_px, 0.27 * unit_px), _shaded(self._skin, 0.86))
                ellipse(canvas, ear, (0.06 * unit_px, 0.15 * unit_px), _shaded(self._skin, 0.66))

    def paint_front(
        self, canvas: Image, outline: Mapping[str, FloatArray], roll: FloatArray, unit_px: float
    ) -> None:
        """Paints hair or scarf down to the hairline, with a few strands and a band of light."""
        outer = _moved(self._outer, roll)
        hairline = outline[_HAIRLINE[self._style]]
        fill(canvas, np.concatenate([outer, hairline]), self._hair)
        if self._style == "headscarf":
            lines(canvas, [hairline], _shaded(self._hair, 0.7), 0.05 * unit_px)
            return
        # Strands run between the two borders; both are sampled from the image's left to its right.
        crown = outer[::-1][(_ACROSS * (len(outer) - 1)).astype(int)]
        edge = hairline[(_ACROSS * (len(hairline) - 1)).astype(int)]
        strands = np.stack([0.92 * crown + 0.08 * edge, 0.12 * crown + 0.88 * edge], axis=1)
        lines(canvas, list(strands[::2]), _shaded(self._hair, 1.12), 0.03 * unit_px)
        lines(canvas, list(strands[1::2]), _shaded(self._hair, 0.88), 0.03 * unit_px)
        lines(canvas, [0.62 * crown[2:6] + 0.38 * edge[2:6]], _shaded(self._hair, 1.25), 0.05 * unit_px)
        lines(canvas, [hairline], _shaded(self._hair, 0.8), 0.03 * unit_px)

    def _paint_neck(self, canvas: Image, roll: FloatArray, collar_xy: FloatArray, unit_px: float) -> None:
        jaw = _moved(np.array([[-0.62, 0.9], [0.62, 0.9]], np.float32), roll)
        half = np.array([0.66 * unit_px, 0.0], np.float32)
        base = [collar_xy - half, collar_xy + np.array([0.0, 0.30 * unit_px], np.float32), collar_xy + half]
        fill(canvas, np.array([jaw[0], *base, jaw[1]], np.float32), _shaded(self._skin, 0.70))
        # The lower part of the neck is out of the chin's shadow.
        rise = np.array([0.0, 0.22 * unit_px], np.float32)
        bright = [base[0], base[0] - rise, base[1] - 2.0 * rise, base[2] - rise, base[2], base[1]]
        fill(canvas, np.array(bright, np.float32), _shaded(self._skin, 0.80))


def _moved(points: FloatArray, transform: FloatArray) -> FloatArray:
    return np.asarray(points @ transform[:, :2].T + transform[:, 2], np.float32)


def _shaded(colour: Colour, gain: float) -> Colour:
    blue, green, red = (min(255.0, value * gain) for value in colour)
    return (blue, green, red)
