"""One seat of the simulated classroom, and the sensor's noise over all of them.

A head is drawn into the small part of the picture that it can reach, and only when it moved by what can be
seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.frames.frame import Image
from edge_runtime.frames.simulation.appearance import Appearance, Light
from edge_runtime.frames.simulation.face import FINER, FacePainter, FaceTruth
from edge_runtime.frames.simulation.lesson import Student, StudentState
from edge_runtime.frames.simulation.scenery import Seat

ROOM_NOISES: Final = 3  # the still room flickers between so many noise patterns

_NOISE: Final = 2.5  # standard deviation of the sensor's noise, grey levels
_NOISE_MARGIN: Final = 64  # a head's noise is cut from a pattern at one of so many places in each direction
_VISIBLE_PX: Final = 0.35  # a head that moved less is not painted again
_VISIBLE_CONTROL: Final = 0.02
_SENSOR: Final = 103  # stream of random numbers


@dataclass(frozen=True, slots=True)
class _Painted:
    """A head as it was painted last."""

    state: StudentState
    patch: Image
    truth: FaceTruth


class Desk:
    """One seat with its student; keeps the head that was painted last and the still room behind it.

    Args:
        seat: where.
        person: how the student looks.
        student: what the student does.
        light: the room's.
        noise: pattern made by `head_noise`.
    """

    def __init__(
        self, seat: Seat, person: Appearance, student: Student, light: Light, noise: npt.NDArray[np.int16]
    ) -> None:
        self.seat, self.student = seat, student
        self._painter = FacePainter(person, light, seat.unit_px)
        self._noise = noise
        self._corner = (0, 0)
        self._behind: Image | None = None
        self._painted: _Painted | None = None

    def place_before(self, room: Image) -> None:
        """Takes the part of the room that this head can reach as its background."""
        height, width = room.shape[:2]
        x0, y0, x1, y1 = self.seat.head_room(width, height)
        self._corner = (x0, y0)
        behind = np.repeat(np.repeat(room[y0:y1, x0:x1], FINER, axis=0), FINER, axis=1)
        self._behind = np.ascontiguousarray(behind)
        self._painted = None

    def paste(self, image: Image, state: StudentState, position: int) -> tuple[StudentState, FaceTruth]:
        """Puts the head into the picture.

        Returns:
            The state that was painted (perhaps an earlier one that looks the same), and where the face is.
        """
        if self._painted is None or self._has_moved(self._painted.state, state):
            self._painted = self._paint(state)
        x0, y0 = self._corner
        patch = self._painted.patch
        rows, columns = patch.shape[:2]
        dx, dy = (position * 37) % _NOISE_MARGIN, (position * 23) % _NOISE_MARGIN
        noise = self._noise[dy : dy + rows, dx : dx + columns]
        cv2.add(patch, noise, dst=image[y0 : y0 + rows, x0 : x0 + columns], dtype=cv2.CV_8U)
        return self._painted.state, self._painted.truth

    def _has_moved(self, before: StudentState, now: StudentState) -> bool:
        # The tip of the nose is about 1.5 units from the pivot: it moves by that many units per radian.
        radians = np.deg2rad(
            max(
                abs(now.pose.yaw_deg - before.pose.yaw_deg),
                abs(now.pose.pitch_deg - before.pose.pitch_deg),
                abs(now.pose.roll_deg - before.pose.roll_deg),
            )
        )
        shift = max(abs(now.sway[0] - before.sway[0]), abs(now.sway[1] - before.sway[1]))
        moved_px = (1.5 * float(radians) + shift) * self.seat.unit_px
        return (
            moved_px > _VISIBLE_PX or float(np.abs(now.controls - before.controls).max()) > _VISIBLE_CONTROL
        )

    def _paint(self, state: StudentState) -> _Painted:
        if self._behind is None:
            raise RuntimeError("place_before comes first")
        canvas = self._behind.copy()
        seat, (x0, y0) = self.seat, self._corner
        centre = (
            seat.x_px - x0 + state.sway[0] * seat.unit_px,
            seat.y_px - y0 + state.sway[1] * seat.unit_px,
        )
        collar = (seat.collar_xy[0] - x0, seat.collar_xy[1] - y0)
        truth = self._painter.paint(canvas, state.controls, state.pose, centre, collar)
        size = (canvas.shape[1] // FINER, canvas.shape[0] // FINER)
        patch = cv2.resize(canvas, size, interpolation=cv2.INTER_AREA)
        origin = np.array([x0, y0], np.float32)
        in_room = FaceTruth(
            truth.box_xyxy + np.tile(origin, 2), truth.pupils_xy + origin, truth.landmarks_xy + origin
        )
        return _Painted(state, np.asarray(patch, np.uint8), in_room)


def room_noises(seed: int, width: int, height: int) -> list[npt.NDArray[np.int16]]:
    """Noise patterns for the still room; ROOM_NOISES × (height, width, 3) int16."""
    rng = np.random.default_rng((seed, _SENSOR))
    # One field, shifted: three of full size would take a second to draw.
    field = (_NOISE * rng.standard_normal((height, width, 3), np.float32)).astype(np.int16)
    return [np.roll(field, (number * 17, number * 31), axis=(0, 1)) for number in range(ROOM_NOISES)]


def head_noise(seed: int, largest: Seat, width: int, height: int) -> npt.NDArray[np.int16]:
    """A noise pattern from which every head cuts its own, larger than any of them; (H, W, 3) int16."""
    x0, y0, x1, y1 = largest.head_room(width, height)
    rng = np.random.default_rng((seed, _SENSOR, 1))
    reach = round(5.6 * largest.unit_px) + 4 + _NOISE_MARGIN
    shape = (max(reach, y1 - y0 + _NOISE_MARGIN), max(reach, x1 - x0 + _NOISE_MARGIN), 3)
    return (_NOISE * rng.standard_normal(shape, np.float32)).astype(np.int16)
