"""Where in the picture heads were seen, for each grade: one map each, coarse, without anything of the picture."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from edge_runtime.survey.readability import Grade
from edge_runtime.survey.scan import Sightings

CELL_PX: Final = 8
_SPREAD: Final = 0.42  # standard deviation of the spot that a head leaves, in sides of its box
_LEAST_SPREAD_CELLS: Final = 1.2


class Heat:
    """Counts, smoothly.

    Args:
        width_px, height_px: of the frame.

    Attributes:
        maps: (grades, rows, columns) float32; a head that sat still through all scans leaves 1 per scan at its
            middle.
    """

    def __init__(self, width_px: int, height_px: int) -> None:
        shape = (-(-height_px // CELL_PX), -(-width_px // CELL_PX))
        self.maps: npt.NDArray[np.float32] = np.zeros((len(Grade), *shape), np.float32)
        self._rows, self._columns = (np.arange(size, dtype=np.float32) + 0.5 for size in shape)

    def add(self, sightings: Sightings) -> None:
        """Takes the sightings of one frame."""
        for box, grade in zip(sightings.boxes_xyxy / CELL_PX, sightings.grades, strict=True):
            spread = max(_LEAST_SPREAD_CELLS, _SPREAD * float(box[2] - box[0]))
            down = np.exp(-(((self._rows - (box[1] + box[3]) / 2) / spread) ** 2) / 2)
            across = np.exp(-(((self._columns - (box[0] + box[2]) / 2) / spread) ** 2) / 2)
            self.maps[grade] += np.outer(down, across)
