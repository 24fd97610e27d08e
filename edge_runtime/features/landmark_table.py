"""P1's 38 segments between landmarks and 7 regions of the face, which the paper counts but does not list (§3.1).

Chosen by the Facial Action Coding System (Ekman and Friesen 1978): each segment is one that some action units make
longer or shorter. The order of the table is that of the numbers in `landmark_distances` and of the histograms in `lbp`.

Convention: landmarks are the 68 of the iBUG mark-up, 0-based here; 68 is the pupil on the image's left, 69 that on its
right. “Left” and “right” are the image's. P1 counts from 1: its landmarks 28 and 31 are 27 and 30 here. Regions lie in
the aligned crop, measured from the middle between the pupils (x to the right, y down) in distances of the pupils, so
that they cover the same part of a face under every template.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LANDMARKS: Final = 70
LEFT_PUPIL: Final = 68
RIGHT_PUPIL: Final = 69
NOSE_BRIDGE: Final = (27, 30)  # landmarks 28 and 31 of eq. 8, whose distance all lengths are divided by


@dataclass(frozen=True, slots=True)
class Segment:
    """One length: between which landmarks, and which action units change it."""

    name: str
    first: int
    second: int
    action_units: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Region:
    """One part of the face.

    Attributes:
        name: of the part.
        box: (x0, y0, x1, y1) in the crop; see the module's convention.
        segments: its lengths.
    """

    name: str
    box: tuple[float, float, float, float]
    segments: tuple[Segment, ...]


# Boxes hold the landmarks of their part for 8 in 10 marks of landmarks68.npz. The chin is at 1.9, and P1's crop ends at
# 1.5, the loose one at 1.8: the jaw is what a crop has of it.
REGIONS: Final = (
    Region(
        "brows",
        (-1.0, -0.5, 1.0, -0.2),
        (
            Segment("left inner brow to eye", 21, 39, (1, 4)),
            Segment("right inner brow to eye", 22, 42, (1, 4)),
            Segment("left outer brow to eye", 17, 36, (2,)),
            Segment("right outer brow to eye", 26, 45, (2,)),
            Segment("left brow to pupil", 19, LEFT_PUPIL, (1, 2, 4)),
            Segment("right brow to pupil", 24, RIGHT_PUPIL, (1, 2, 4)),
            Segment("between the brows", 21, 22, (4,)),
            Segment("left inner brow to nose root", 21, 27, (1, 4, 9)),
            Segment("right inner brow to nose root", 22, 27, (1, 4, 9)),
        ),
    ),
    Region(
        "eyes",
        (-0.85, -0.2, 0.85, 0.2),
        (
            Segment("left eye open, outer half", 37, 41, (5, 6, 7, 43)),
            Segment("left eye open, inner half", 38, 40, (5, 6, 7, 43)),
            Segment("right eye open, inner half", 43, 47, (5, 6, 7, 43)),
            Segment("right eye open, outer half", 44, 46, (5, 6, 7, 43)),
            Segment("left eye wide", 36, 39, (6, 7)),
            Segment("right eye wide", 42, 45, (6, 7)),
            Segment("left pupil to inner corner", LEFT_PUPIL, 39, (61, 62)),
            Segment("right pupil to inner corner", RIGHT_PUPIL, 42, (61, 62)),
        ),
    ),
    Region(
        "nose",
        (-0.35, 0.2, 0.35, 0.85),
        (
            Segment("nostrils wide", 31, 35, (38, 39)),
            Segment("left eye to nostril", 39, 31, (9, 10)),
            Segment("right eye to nostril", 42, 35, (9, 10)),
            Segment("nose root to base", 27, 33, (9,)),
        ),
    ),
    Region(
        "mouth",
        (-0.65, 0.85, 0.65, 1.35),
        (
            Segment("mouth wide", 48, 54, (12, 14, 18, 20)),
            Segment("mouth high", 51, 57, (25, 26, 27)),
            Segment("lips apart", 62, 66, (25, 26, 27)),
            Segment("lips wide, inside", 60, 64, (12, 18, 20)),
            Segment("upper lip thick", 51, 62, (10, 23, 24, 28)),
            Segment("lower lip thick", 57, 66, (16, 23, 24, 28)),
            Segment("nose to upper lip", 33, 51, (9, 10)),
            Segment("left corner to nose", 48, 33, (12, 15)),
            Segment("right corner to nose", 54, 33, (12, 15)),
        ),
    ),
    Region(
        "jaw",
        (-0.8, 1.35, 0.8, 1.85),
        (
            Segment("lower lip to chin", 57, 8, (16, 17)),
            Segment("nose to chin", 33, 8, (26, 27)),
            Segment("left corner to chin", 48, 8, (12, 15, 17)),
            Segment("right corner to chin", 54, 8, (12, 15, 17)),
        ),
    ),
    Region(
        "left cheek",
        (-1.0, 0.2, -0.35, 0.95),
        (
            Segment("left corner to outer eye", 48, 36, (6, 12, 13)),
            Segment("left nostril to jaw", 31, 3, (11, 33, 34)),
        ),
    ),
    Region(
        "right cheek",
        (0.35, 0.2, 1.0, 0.95),
        (
            Segment("right corner to outer eye", 54, 45, (6, 12, 13)),
            Segment("right nostril to jaw", 35, 13, (11, 33, 34)),
        ),
    ),
)
SEGMENTS: Final = tuple(segment for region in REGIONS for segment in region.segments)
