"""Alignment: two pupils in, one upright grey crop out. The only preprocessing in the project.

P1 §2.2: rotate by the angle of the line through the pupils (eqs 2–3), crop 0.5 d above it, 1.5 d below it and
d to each side of its middle, d being the distance of the pupils, scale to 96×96, equalise the histogram (eqs
4–6). So both pupils always lie at the same two places of the crop; those places are the bundle's
`AlignmentTemplate`.

Training crops, calibration crops and the device's crops are all made by `align`. Casting, scaling and
mean/std are nodes of the exported graph, not of this module.

Convention: points are (x, y) in pixels, pixel centres at integers; of two pupils the image-left one comes
first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.frames.frame import Image

FloatArray = npt.NDArray[np.float32]
PupilWay = Literal["haar", "landmarks"]  # what finds the pupils that crops are aligned by

# Where the pupils lie in a frontal Haar box, as fractions of its side: medians over 400 frames of
# landmarks68.npz, alike for the three frontal cascades, made symmetric.
DEFAULT_PUPILS_IN_BOX: Final = np.array([[0.315, 0.405], [0.685, 0.405]], np.float32)


@dataclass(frozen=True, slots=True)
class AlignmentTemplate:
    """Where the pupils lie in the crop; part of a bundle's contract.

    Attributes:
        name: version of the alignment procedure and template, recorded in the bundle.
        size_px: side of the square crop.
        pupil_y_px: row of both pupils.
        pupil_x_px: column of the image-left pupil; the other is its mirror image, `size_px - pupil_x_px`.
    """

    name: str = "p1"
    size_px: int = 96
    pupil_x_px: float = 24.0
    pupil_y_px: float = 24.0

    def __post_init__(self) -> None:
        if not (0 < self.pupil_x_px < self.size_px / 2 and 0 < self.pupil_y_px < self.size_px):
            raise ValueError(f"the pupils of {self} do not lie left and right of the crop's middle")

    def resized(self, size_px: int) -> AlignmentTemplate:
        """The same cut at another resolution."""
        factor = size_px / self.size_px
        return AlignmentTemplate(self.name, size_px, factor * self.pupil_x_px, factor * self.pupil_y_px)


P1_TEMPLATE: Final = AlignmentTemplate()
# Looser: 2.67 d wide with 0.86 d above the pupils, so that brows, forehead wrinkles and chin stay in a tilted
# crop.
LOOSE_TEMPLATE: Final = AlignmentTemplate("loose", 96, 30.0, 31.0)
TEMPLATES: Final = {template.name: template for template in (P1_TEMPLATE, LOOSE_TEMPLATE)}


def default_pupils(boxes_xyxy: FloatArray) -> FloatArray:
    """Where the pupils are expected in face boxes when they were not found: the stated fallback.

    Args:
        boxes_xyxy: (N, 4) float32 face boxes as the frontal Haar cascades draw them.

    Returns:
        (N, 2, 2) float32 pupils.
    """
    corner, side = boxes_xyxy[:, None, :2], (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2])[:, None, :]
    return (corner + DEFAULT_PUPILS_IN_BOX * side).astype(np.float32)


def boxes_around(pupils_xy: FloatArray) -> FloatArray:
    """The inverse of `default_pupils`: square boxes of upright faces whose pupils are known.

    Args:
        pupils_xy: (N, 2, 2) float32.

    Returns:
        (N, 4) float32.
    """
    apart = np.linalg.norm(pupils_xy[:, 1] - pupils_xy[:, 0], axis=1)[:, None]
    side = apart / (DEFAULT_PUPILS_IN_BOX[1, 0] - DEFAULT_PUPILS_IN_BOX[0, 0])
    corner = pupils_xy.mean(axis=1) - side * DEFAULT_PUPILS_IN_BOX.mean(axis=0)
    return np.concatenate([corner, corner + side], axis=1).astype(np.float32)


def similarity(pupils_xy: FloatArray, template: AlignmentTemplate) -> FloatArray:
    """The similarity transforms that bring pupils to their places in the crop (P1 eqs 2–3, then the scaling).

    Args:
        pupils_xy: (N, 2, 2) float32; the two pupils of a face differ.
        template: where they go.

    Returns:
        (N, 2, 3) float32 matrices from image to crop: rotation and uniform scale, no shear, no mirror.
    """
    left, right = pupils_xy[:, 0].astype(np.float64), pupils_xy[:, 1].astype(np.float64)
    along = right - left
    span = template.size_px - 2 * template.pupil_x_px
    squared = np.maximum((along**2).sum(axis=1), 1e-6)
    a, b = span * along[:, 0] / squared, span * along[:, 1] / squared
    linear = np.stack([np.stack([a, b], -1), np.stack([-b, a], -1)], 1)
    target = np.array([template.pupil_x_px, template.pupil_y_px])
    shift = target - np.einsum("nij,nj->ni", linear, left)
    return np.concatenate([linear, shift[:, :, None]], axis=2).astype(np.float32)


def align(
    image_grey: Image,
    pupils_xy: FloatArray,
    template: AlignmentTemplate = P1_TEMPLATE,
    out: Image | None = None,
) -> Image:
    """Cuts upright, equally scaled, histogram-equalised crops out of one grey image.

    What lies outside of the image continues its border. A face much larger than the crop is shrunk by area
    first, so that no aliasing enters.

    Args:
        image_grey: (H, W) uint8.
        pupils_xy: (N, 2, 2) float32, N may be 0.
        template: where the pupils go.
        out: (≥ N, size, size) uint8 to write into, say a part of an engine's own input; made when absent.

    Returns:
        (N, size, size) uint8, a view of `out` where given.

    Raises:
        ValueError: `out` holds too few crops, or they are of another size or type.
    """
    count, size = len(pupils_xy), template.size_px
    if out is not None and (len(out) < count or out.shape[1:] != (size, size) or out.dtype != np.uint8):
        raise ValueError(f"out is {out.shape} {out.dtype}, needed is ({count}, {size}, {size}) uint8")
    crops = np.empty((count, size, size), np.uint8) if out is None else out[:count]
    for crop, matrix in zip(crops, similarity(pupils_xy, template), strict=True):
        source, transform = _shrunk_if_large(image_grey, matrix, size)
        cv2.warpAffine(
            source, transform, (size, size), dst=crop, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        cv2.equalizeHist(crop, dst=crop)
    return crops


def _shrunk_if_large(image: Image, matrix: FloatArray, size_px: int) -> tuple[Image, FloatArray]:
    """For a crop that shrinks by more than two: its region shrunk by area, and the remaining transform."""
    scale = float(np.hypot(matrix[0, 0], matrix[0, 1]))
    if scale >= 0.5:
        return image, matrix
    inverse = cv2.invertAffineTransform(matrix)
    corners = np.array([[0, 0, 1], [size_px, 0, 1], [0, size_px, 1], [size_px, size_px, 1]]) @ inverse.T
    height, width = image.shape
    x0, y0 = np.clip(np.floor(corners.min(0)).astype(int) - 2, 0, (width - 1, height - 1))
    x1, y1 = np.clip(np.ceil(corners.max(0)).astype(int) + 3, (x0 + 1, y0 + 1), (width, height))
    factor = min(2 * scale, 1.0)
    region = image[y0:y1, x0:x1]
    small_size = (max(1, round((x1 - x0) * factor)), max(1, round((y1 - y0) * factor)))
    small = cv2.resize(region, small_size, interpolation=cv2.INTER_AREA)
    # Pixel centres: u_small = (u + 0.5) · f − 0.5 with u relative to the region's corner.
    fx, fy = small_size[0] / (x1 - x0), small_size[1] / (y1 - y0)
    linear = matrix[:, :2] / np.array([fx, fy])
    origin = np.array([x0 + 0.5 / fx - 0.5, y0 + 0.5 / fy - 0.5])
    shift = matrix[:, 2] + matrix[:, :2] @ origin
    return np.asarray(small, np.uint8), np.concatenate([linear, shift[:, None]], axis=1).astype(np.float32)
