"""Pinhole geometry: how wide a face is at which distance, and what would make it wider.

    f = W / (2 tan(lens / 2))        focal length in pixels of an image W wide
    w = f · 0.14 m / Z               width of a face at the distance Z along the optical axis

Convention: `lens_degrees` is the horizontal angle of view. Makers like to print the diagonal one, which is larger:
a lens of 90° across the diagonal of a 16:9 picture sees 82° horizontally.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

FACE_WIDTH_M: Final = 0.14


@dataclass(frozen=True, slots=True)
class Lens:
    """A camera without distortion.

    Attributes:
        width_px: of the picture.
        degrees: horizontal angle of view, above 0 and below 180.

    Raises:
        ValueError: one of the two is out of its range.
    """

    width_px: int
    degrees: float

    def __post_init__(self) -> None:
        if self.width_px < 1 or not 0 < self.degrees < 180:
            raise ValueError(f"no lens has {self.degrees}° on {self.width_px} px")

    @property
    def focal_px(self) -> float:
        """Focal length in pixels."""
        return self.width_px / 2 / math.tan(math.radians(self.degrees) / 2)

    def face_px(self, distance_m: float) -> float:
        """Width of a face at this distance, px."""
        return self.focal_px * FACE_WIDTH_M / distance_m

    def distance_m(self, face_px: float) -> float:
        """Distance of a face of this width, m."""
        return self.focal_px * FACE_WIDTH_M / face_px

    def narrower(self, factor: float) -> float:
        """Angle of the lens that makes everything wider by this factor, degrees."""
        return math.degrees(2 * math.atan(self.width_px / 2 / (factor * self.focal_px)))
