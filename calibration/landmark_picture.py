"""Points drawn on faces, for whoever may see the faces; written where it is asked for, and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np

from edge_runtime.errors import RoomtoneError
from edge_runtime.faces.landmarks import LandmarkFinder
from edge_runtime.faces.marked import MarkedFaces
from edge_runtime.frames.frame import Image
from edge_runtime.markup import MARKS

_FACES, _COLUMNS, _SIDE_PX = 40, 8, 288
_TRUTH_BGR: Final = (80, 220, 80)
_FOUND_BGR: Final = (60, 60, 255)
_PUPIL_BGR: Final = (0, 220, 255)


def draw_landmarks(finder: LandmarkFinder, faces: MarkedFaces, path: Path) -> None:
    """Draws points found (red; pupils yellow) beside the marks (green) on faces spread over the set.

    Raises:
        RoomtoneError: the picture cannot be written.
    """
    rows = np.linspace(0, len(faces) - 1, min(_FACES, len(faces))).astype(np.intp)
    tiles = [_tile(finder, faces, int(row)) for row in rows]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % _COLUMNS)
    lines = [np.hstack(tiles[start : start + _COLUMNS]) for start in range(0, len(tiles), _COLUMNS)]
    try:
        written = cv2.imwrite(str(path), np.vstack(lines))
    except cv2.error:
        written = False
    if not written:
        raise RoomtoneError(f"{path} cannot be written", hint="give a .png or .jpg in a folder that exists")


def _tile(finder: LandmarkFinder, faces: MarkedFaces, row: int) -> Image:
    image = faces.images[row]
    found = finder.find(image, faces.boxes_xyxy[row : row + 1])
    scale = _SIDE_PX / image.shape[1]
    enlarged = cv2.resize(image, (_SIDE_PX, _SIDE_PX))
    tile = np.asarray(cv2.cvtColor(enlarged, cv2.COLOR_GRAY2BGR), np.uint8)
    low, high = (faces.boxes_xyxy[row].reshape(2, 2) * scale).round().astype(int).tolist()
    cv2.rectangle(tile, low, high, (160, 120, 60), 1)
    for points, colour in (
        (faces.marks_xy[row], _TRUTH_BGR),
        (found.points_xy[0, :MARKS], _FOUND_BGR),
        (found.points_xy[0, MARKS:], _PUPIL_BGR),
    ):
        for x, y in points[np.isfinite(points).all(axis=1)] * scale:
            cv2.circle(tile, (round(float(x)), round(float(y))), 2, colour, -1, cv2.LINE_AA)
    cv2.putText(
        tile, f"{found.confidence[0]:.2f}", (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1
    )
    return tile
