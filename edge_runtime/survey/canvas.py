"""Text and shapes on an image: drawn at twice the size and averaged, since OpenCV's fonts are thin lines."""

from __future__ import annotations

import unicodedata
from typing import Final

import cv2
import numpy as np

from edge_runtime.frames.frame import Image

Colour = tuple[int, int, int]  # blue, green, red
_OVER: Final = 2
_FONT: Final = cv2.FONT_HERSHEY_DUPLEX
_FONT_PX: Final = 30.0  # height of a line of that font at scale 1
_TYPEWRITER: Final = {
    "×": "x",
    "–": "-",
    "−": "-",
    "·": "-",
    "°": " deg",
    "→": "->",
    "…": "...",
    "“": '"',
    "”": '"',
}


class Canvas:
    """A drawing.

    Args:
        width, height: px of the finished image.
        background: its colour.

    Convention: all places and sizes are (x, y) in pixels of the finished image.
    """

    def __init__(self, width: int, height: int, background: Colour) -> None:
        self.width, self.height = width, height
        self._image: Image = np.full((_OVER * height, _OVER * width, 3), background, np.uint8)

    def picture(self, x: float, y: float, image: Image) -> None:
        """Puts an image there, one pixel to one."""
        height, width = image.shape[:2]
        large = cv2.resize(image, (_OVER * width, _OVER * height), interpolation=cv2.INTER_LINEAR)
        top, left = round(_OVER * y), round(_OVER * x)
        self._image[top : top + _OVER * height, left : left + _OVER * width] = large

    def box(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        """A filled rectangle."""
        end = (round(_OVER * (x + width)) - 1, round(_OVER * (y + height)) - 1)
        cv2.rectangle(self._image, (round(_OVER * x), round(_OVER * y)), end, colour, cv2.FILLED)

    def line(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, thickness: float = 1) -> None:
        """A straight line."""
        start, end = (round(_OVER * x0), round(_OVER * y0)), (round(_OVER * x1), round(_OVER * y1))
        cv2.line(self._image, start, end, colour, max(1, round(_OVER * thickness)), cv2.LINE_AA)

    def disc(self, x: float, y: float, radius: float, colour: Colour, thickness: float = 0) -> None:
        """A filled circle, or a ring of this thickness."""
        width = round(_OVER * thickness) if thickness else cv2.FILLED
        centre = (round(_OVER * x), round(_OVER * y))
        cv2.circle(self._image, centre, round(_OVER * radius), colour, width, cv2.LINE_AA)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: float,
        colour: Colour,
        bold: bool = False,
        align: float = 0,
    ) -> None:
        """One line.

        Args:
            x: where it begins; its middle with `align` 0.5, its end with 1.
            y: of its base line.
            words: what OpenCV's fonts lack is spelled in ASCII.
            size: height of the line.
            colour: of the letters.
            bold: thicker.
            align: see `x`.
        """
        scale, thickness = _OVER * size / _FONT_PX, max(1, round(_OVER * size / (11 if bold else 24)))
        words = typewritten(words)
        start = _OVER * x - align * cv2.getTextSize(words, _FONT, scale, thickness)[0][0]
        where = (round(start), round(_OVER * y))
        cv2.putText(self._image, words, where, _FONT, scale, colour, thickness, cv2.LINE_AA)

    def finished(self) -> Image:
        """(height, width, 3) uint8."""
        size = (self.width, self.height)
        return np.asarray(cv2.resize(self._image, size, interpolation=cv2.INTER_AREA), np.uint8)


def typewritten(words: str) -> str:
    """Only what OpenCV's fonts have: umlauts lose their dots, signs become words."""
    for sign, plain in _TYPEWRITER.items():
        words = words.replace(sign, plain)
    return unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode()


def wrapped(words: str, width_px: float, size: float) -> list[str]:
    """Words broken into lines of at most this width; a word that is wider stands alone."""
    lines: list[str] = []
    line = ""
    for word in typewritten(words).split():
        longer = f"{line} {word}".strip()
        if line and cv2.getTextSize(longer, _FONT, size / _FONT_PX, 1)[0][0] > width_px:
            lines.append(line)
            longer = word
        line = longer
    return [*lines, line] if line else lines
