"""The room around the faces: seats in perspective, back wall, desks, and the bodies of those present."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from edge_runtime.frames.frame import Image
from edge_runtime.frames.simulation.appearance import Appearance, Light
from edge_runtime.frames.simulation.shape import PUPIL_DISTANCE_IN_BOX
from edge_runtime.frames.simulation.skin import lit
from edge_runtime.frames.simulation.strokes import fill_smooth, line_smooth

_WALL: Final = (196.0, 206.0, 210.0)
_FLOOR: Final = (120.0, 136.0, 148.0)
_BOARD: Final = (86.0, 104.0, 70.0)
_FRAME: Final = (96.0, 120.0, 146.0)
_DESK: Final = (126.0, 164.0, 196.0)
_DESK_EDGE: Final = (96.0, 128.0, 158.0)
_CHAIR: Final = (112.0, 100.0, 92.0)

# Heights in the picture, as shares of it, of the pupils in the last and the first row.
_BACK_ROW_Y: Final = 0.27
_FRONT_ROW_Y: Final = 0.67
_FRONT_FACE: Final = 0.102  # width of a face in the first row, as a share of the picture's height
_BACK_TO_FRONT: Final = 0.50  # a face in the last row is half as wide as one in the first
_SEAT_IN_FACES: Final = 1.9  # least distance of two seats in widths of a face
_TEACHER_X: Final = 0.93
_TEACHER_Y: Final = 0.33
_TEACHER_FACE: Final = 0.068


@dataclass(frozen=True, slots=True)
class Seat:
    """One seat.

    Attributes:
        x_px, y_px: middle between the pupils of who sits upright there.
        unit_px: distance between the pupils.
    """

    x_px: float
    y_px: float
    unit_px: float

    @property
    def face_px(self) -> float:
        """Width of the face, the side of its box."""
        return self.unit_px / PUPIL_DISTANCE_IN_BOX

    @property
    def collar_xy(self) -> tuple[float, float]:
        """Where the neck meets the body."""
        return self.x_px, self.y_px + 2.15 * self.unit_px

    def head_room(self, width: int, height: int) -> tuple[int, int, int, int]:
        """x0, y0, x1, y1 of the pixels that head, hair and neck can reach, cut to the picture."""
        x0, x1 = self.x_px - 2.05 * self.unit_px, self.x_px + 2.05 * self.unit_px
        y0, y1 = self.y_px - 2.5 * self.unit_px, self.y_px + 2.95 * self.unit_px
        return (
            max(0, math.floor(x0)),
            max(0, math.floor(y0)),
            min(width, math.ceil(x1)),
            min(height, math.ceil(y1)),
        )


def seats(students: int, width: int, height: int) -> list[Seat]:
    """Places a class in rows, the last row first, so that the order is also from far to near.

    Rows fill from the front; each row is centred, and neighbouring rows are staggered by half a seat.
    """
    rows = max(1, min(5, round(math.sqrt(students / 3))))
    columns = math.ceil(students / rows)
    front_px = min(_FRONT_FACE * height, width / (columns + 0.5) / _SEAT_IN_FACES)
    if rows == 1:
        front_px = min(0.16 * height, width / (columns + 0.5) / _SEAT_IN_FACES)
    placed: list[Seat] = []
    left = students
    for row in range(rows):
        count = math.ceil(left / (rows - row))
        left -= count
        nearness = row / (rows - 1) if rows > 1 else 0.5
        face_px = front_px * _BACK_TO_FRONT ** (1 - nearness) if rows > 1 else front_px
        y_px = height * (_BACK_ROW_Y + (_FRONT_ROW_Y - _BACK_ROW_Y) * nearness**1.15)
        spacing = face_px * max(_SEAT_IN_FACES, min(2.15, width / (columns + 0.5) / front_px))
        stagger = spacing * (0.25 if row % 2 else -0.25) * (rows > 1)
        for column in range(count):
            x_px = (width - 1) / 2 + (column - (count - 1) / 2) * spacing + stagger
            placed.append(Seat(x_px, y_px, face_px * PUPIL_DISTANCE_IN_BOX))
    return placed


def teacher_place(width: int, height: int) -> Seat:
    """Where the teacher stands: at the wall to the right, beside the back rows, behind a desk of their own."""
    face_px = _TEACHER_FACE * height
    return Seat(_TEACHER_X * width, _TEACHER_Y * height, face_px * PUPIL_DISTANCE_IN_BOX)


def paint_room(
    width: int, height: int, places: Sequence[Seat], people: Sequence[Appearance | None], light: Light
) -> Image:
    """Paints everything but heads and necks.

    Args:
        width: of the picture, px.
        height: of the picture, px.
        places: seats from far to near.
        people: who sits there; None where the seat is empty.
        light: the room's.

    Returns:
        (height, width, 3) uint8 BGR.
    """
    image = _paint_walls(width, height, light)
    far_to_near = sorted({seat.y_px for seat in places})
    for y_px in far_to_near:
        row = [(seat, person) for seat, person in zip(places, people, strict=True) if seat.y_px == y_px]
        for seat, person in row:
            _paint_chair(image, seat, light)
            if person is not None:
                _paint_body(image, seat, person, light)
        _paint_desk(image, [seat for seat, _ in row], light)
    return image


def _paint_walls(width: int, height: int, light: Light) -> Image:
    floor_y = round(0.335 * height)
    image = np.empty((height, width, 3), np.float32)
    image[:floor_y], image[floor_y:] = lit(_WALL, light), lit(_FLOOR, light)
    # The lamp's side of the room is brighter, and so is the floor near the camera.
    across = np.linspace(-1, 1, width, dtype=np.float32) * light.direction()[0] * light.strength * 0.3
    down = np.linspace(1.05, 0.93, height, dtype=np.float32)
    image *= ((1 + across)[None, :] * down[:, None])[..., None]
    painted = np.clip(image, 0, 255).astype(np.uint8)
    board = (round(0.30 * width), round(0.035 * height), round(0.70 * width), round(0.145 * height))
    margin = max(1, round(0.006 * height))
    cv2.rectangle(
        painted,
        (board[0] - margin, board[1] - margin),
        (board[2] + margin, board[3] + margin),
        lit(_FRAME, light),
        -1,
    )
    cv2.rectangle(painted, board[:2], board[2:], lit(_BOARD, light), -1)
    for number, length in enumerate((0.5, 0.38, 0.44)):
        y = board[1] + (board[3] - board[1]) * (0.3 + 0.2 * number)
        chalk = np.array([[board[0] * 1.04, y], [board[0] + length * (board[2] - board[0]), y]], np.float32)
        line_smooth(painted, chalk, lit((188.0, 200.0, 192.0), light), 0.003 * height)
    cv2.rectangle(painted, (0, floor_y - margin), (width, floor_y), lit(_DESK_EDGE, light), -1)
    door = (round(0.88 * width), round(0.06 * height), round(0.95 * width), floor_y)
    cv2.rectangle(painted, door[:2], door[2:], lit(_DESK, light, 0.9), -1)
    cv2.rectangle(painted, door[:2], door[2:], lit(_DESK_EDGE, light), margin // 2 + 1)
    for x in (0.03, 0.13):
        pane = (round(x * width), round(0.04 * height), round((x + 0.08) * width), round(0.24 * height))
        cv2.rectangle(painted, pane[:2], pane[2:], lit((238.0, 232.0, 222.0), light), -1)
        cv2.rectangle(painted, pane[:2], pane[2:], lit(_FRAME, light, 1.4), margin)
    return np.asarray(cv2.GaussianBlur(painted, (0, 0), max(0.5, height / 1080)), np.uint8)


def _paint_chair(image: Image, seat: Seat, light: Light) -> None:
    unit = seat.unit_px
    x, y = seat.x_px, seat.y_px + 2.4 * unit
    back = np.array(
        [
            (x - 1.5 * unit, y),
            (x + 1.5 * unit, y),
            (x + 1.6 * unit, y + 2.6 * unit),
            (x - 1.6 * unit, y + 2.6 * unit),
        ]
    )
    fill_smooth(image, back.astype(np.float32), lit(_CHAIR, light))


def _paint_body(image: Image, seat: Seat, person: Appearance, light: Light) -> None:
    unit = seat.unit_px
    x, collar = seat.collar_xy
    cloth = person.clothes_bgr
    outline = np.array(
        [
            (-0.62, -0.02), (-1.30, 0.22), (-1.95, 0.55), (-2.25, 1.20), (-2.30, 2.80), (2.30, 2.80),
            (2.25, 1.20), (1.95, 0.55), (1.30, 0.22), (0.62, -0.02), (0.00, 0.30),
        ],
        np.float32,
    )  # fmt: skip
    at = np.array([x, collar], np.float32)
    fill_smooth(image, outline * unit + at, lit(cloth, light))
    for sign in (-1, 1):
        sleeve = np.array([(1.50 * sign, 0.75), (1.42 * sign, 2.8)], np.float32)
        line_smooth(image, sleeve * unit + at, lit(cloth, light, 0.78), 0.08 * unit)
    shadow = np.array([(-0.62, -0.02), (0.0, 0.42), (0.62, -0.02)], np.float32)
    line_smooth(image, shadow * unit + at, lit(cloth, light, 0.7), 0.10 * unit)


def _paint_desk(image: Image, row: Sequence[Seat], light: Light) -> None:
    unit = row[0].unit_px
    top = row[0].y_px + 4.15 * unit
    half = min((row[1].x_px - row[0].x_px) / 2 * 0.96 if len(row) > 1 else 3.2 * unit, 3.2 * unit)
    for seat in row:
        x = seat.x_px
        board = [
            (x - half * 0.96, top),
            (x + half * 0.96, top),
            (x + half, top + 0.55 * unit),
            (x - half, top + 0.55 * unit),
        ]
        front = [
            (x - half, top + 0.55 * unit),
            (x + half, top + 0.55 * unit),
            (x + half, top + 2.2 * unit),
            (x - half, top + 2.2 * unit),
        ]
        fill_smooth(image, np.array(front, np.float32), lit(_DESK_EDGE, light))
        fill_smooth(image, np.array(board, np.float32), lit(_DESK, light))
        page = [
            (x - 0.5 * unit, top + 0.12 * unit),
            (x + 0.4 * unit, top + 0.12 * unit),
            (x + 0.5 * unit, top + 0.42 * unit),
            (x - 0.6 * unit, top + 0.42 * unit),
        ]
        fill_smooth(image, np.array(page, np.float32), lit((232.0, 236.0, 238.0), light))
