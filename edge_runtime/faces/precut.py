"""Data sets of pre-cut faces, brought through the device's own detection, pupils and alignment.

A network trained on a data set's own loose cuts and fed the device's crops is wrong on every camera. So each
pre-cut image is treated as if a camera had seen it: the frontal cascade looks for the face, the pupils are
looked for in that box, the same template cuts the crop, and the same fallbacks apply where one of them fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.faces.alignment import P1_TEMPLATE, AlignmentTemplate, FloatArray, align
from edge_runtime.faces.cascades import load_cascade
from edge_runtime.faces.landmark_pupils import PupilSource
from edge_runtime.faces.pupils import PupilFinder
from edge_runtime.frames.frame import Image

_SIDE_PX: Final = 96  # the cascade looks at the image enlarged to this side …
_PAD_PX: Final = 16  # … with its border continued, for faces that fill the cut
# Where the cascade finds the face in most of FER2013's cuts, as fractions of the side: the fallback box.
_DEFAULT_BOX: Final = np.array([0.02, 0.01, 0.97, 0.96], np.float32)


@dataclass(frozen=True, slots=True)
class LocatedFaces:
    """Where the device sees the face in each pre-cut image.

    Attributes:
        pupils_xy: (N, 2, 2) float32 in pixels of the image, for `alignment.align`.
        face_found: (N,) bool; where False, the default box stood in.
        pupils_found: (N,) bool; where False, the default pupils of the box stood in.
    """

    pupils_xy: FloatArray
    face_found: npt.NDArray[np.bool_]
    pupils_found: npt.NDArray[np.bool_]

    def rows(self, rows: slice) -> LocatedFaces:
        """Some of the images."""
        return LocatedFaces(self.pupils_xy[rows], self.face_found[rows], self.pupils_found[rows])


class PrecutLocator:
    """Finds face and pupils in pre-cut images. One instance belongs to one thread.

    Args:
        pupils: finds them; Haar eyes when absent.
    """

    def __init__(self, pupils: PupilSource | None = None) -> None:
        self._cascade = load_cascade("haarcascade_frontalface_alt.xml")
        self._pupils: PupilSource = PupilFinder() if pupils is None else pupils

    def __call__(self, images_grey: Image) -> LocatedFaces:
        """Locates one face in each image.

        Args:
            images_grey: (N, H, W) uint8, one face each, roughly square; N may be 0.
        """
        count = len(images_grey)
        pupils = np.empty((count, 2, 2), np.float32)
        face_found, pupils_found = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
        for index, image in enumerate(images_grey):
            box, face_found[index] = self._face_box(image)
            pupils[index : index + 1], found = self._pupils.find(image, box)
            pupils_found[index] = found[0]
        return LocatedFaces(pupils, face_found, pupils_found)

    def _face_box(self, image: Image) -> tuple[FloatArray, bool]:
        """The largest face's box as (1, 4) in pixels of the image, and whether the cascade found it."""
        height, width = image.shape
        enlarged = cv2.resize(image, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_LINEAR)
        padded = cv2.copyMakeBorder(enlarged, _PAD_PX, _PAD_PX, _PAD_PX, _PAD_PX, cv2.BORDER_REPLICATE)
        least = round(0.6 * _SIDE_PX)
        hits = np.asarray(self._cascade.detectMultiScale(padded, 1.05, 2, minSize=(least, least)))
        size = np.array([width, height, width, height], np.float32)
        if len(hits) == 0:
            return (_DEFAULT_BOX * size)[None], False
        x, y, w, h = hits[np.argmax(hits[:, 2])]
        box = np.array([x, y, x + w, y + h], np.float32) - _PAD_PX
        return (box / _SIDE_PX * size)[None].astype(np.float32), True


def align_precut(
    images_grey: Image, located: LocatedFaces, template: AlignmentTemplate = P1_TEMPLATE
) -> Image:
    """The device's crops of pre-cut faces: (N, size, size) uint8."""
    crops = np.empty((len(images_grey), template.size_px, template.size_px), np.uint8)
    for index, image in enumerate(images_grey):
        align(image, located.pupils_xy[index : index + 1], template, out=crops[index : index + 1])
    return crops
