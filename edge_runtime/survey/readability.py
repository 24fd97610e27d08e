"""What a face in the picture is good for, and why not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle import Manifest
from edge_runtime.config import Config
from edge_runtime.faces.detection import CASCADE_WINDOW_PX, HAAR_SIDE_PER_FACE_WIDTH
from edge_runtime.faces.quality import FaceQuality

COMFORTABLE: Final = (
    1.5  # times the least readable width: 48 px for 32, where networks of this kind work well
)
DARK_BRIGHTNESS: Final = 50.0  # mean grey of the skin; below, a small camera shows more noise than face
FLAT_CONTRAST: Final = 7.0
BLURRED_SHARPNESS: Final = 0.014  # see `edge_runtime.faces.quality.sharpness`


class Grade(IntEnum):
    """From good to bad."""

    READABLE = 0
    MARGINAL = 1
    SMALL = 2
    DARK = 3
    TURNED = 4

    @property
    def words(self) -> str:
        """For people."""
        return _WORDS[self]


_WORDS: Final = {
    Grade.READABLE: "readable",
    Grade.MARGINAL: "marginal",
    Grade.SMALL: "too small",
    Grade.DARK: "too dark",
    Grade.TURNED: "turned away",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Widths of a face that decide, px of the frame.

    Attributes:
        readable_px: the network's own; below, the runtime counts a face and does not classify it.
        comfortable_px: from here on nothing is lost.
        found_px: below, the runtime's scan does not find it, since it shrinks the frame.
    """

    readable_px: float
    comfortable_px: float
    found_px: float

    @property
    def least_px(self) -> float:
        """Of a face that is read."""
        return max(self.readable_px, self.found_px)


def limits_of(config: Config, manifest: Manifest, frame_width_px: int) -> Limits:
    """The limits of a device.

    Args:
        config: checked.
        manifest: of the bundle that runs there.
        frame_width_px: of the camera's picture.
    """
    readable = config.inference.readable_width_px or manifest.readable_width_px
    scale = min(1.0, config.faces.scan_width_px / frame_width_px)
    # YuNet finds smaller ones, but its limit is not a sharp one; the cascade's window is.
    found_box = max(
        config.faces.min_face_px, CASCADE_WINDOW_PX / scale if config.faces.detector == "haar" else 0
    )
    return Limits(readable, COMFORTABLE * readable, found_box / HAAR_SIDE_PER_FACE_WIDTH)


def grade_faces(quality: FaceQuality, limits: Limits) -> npt.NDArray[np.int8]:
    """(N,) grades of faces that look at the camera: too small first, then turned away, too dark, and the rest."""
    grades = np.full(len(quality), Grade.READABLE, np.int8)
    grades[(quality.width_px < limits.comfortable_px) | (quality.sharpness < BLURRED_SHARPNESS)] = (
        Grade.MARGINAL
    )
    grades[(quality.brightness < DARK_BRIGHTNESS) | (quality.contrast < FLAT_CONTRAST)] = Grade.DARK
    grades[quality.turned_away] = Grade.TURNED
    grades[quality.width_px < limits.least_px] = Grade.SMALL
    return grades
