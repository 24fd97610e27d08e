"""A frame, and what every source of frames can do.

Convention: images are (row, column, channel) in BGR order as OpenCV reads them, or grey, (row, column);
`timestamp_s` runs on the source's own capture clock, which never steps back: the monotonic clock for a live
camera, the position in the film for a file. Frames live in RAM only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of the room.

    Attributes:
        image: (H, W, 3) uint8 BGR or (H, W) uint8 grey, contiguous, H and W at least 1. Grey is the decoder's own
            brightness, of a full or limited range (16 to 235).
        timestamp_s: seconds on the source's capture clock; never less than that of the frame before.
        camera_id: which camera; on a device site.room.device.
    """

    image: Image
    timestamp_s: float
    camera_id: str = "camera"

    def __post_init__(self) -> None:
        shape, dtype = self.image.shape, self.image.dtype
        if shape[2:] not in ((), (3,)) or len(shape) < 2 or 0 in shape or dtype != np.uint8:
            raise ValueError(f"a frame is (H, W, 3) or (H, W) uint8 and not empty, this is {shape} {dtype}")

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def image_bgr(self) -> Image:
        """(H, W, 3) uint8; of a grey frame, made anew at each call."""
        if self.image.ndim == 3:
            return self.image
        return np.asarray(cv2.cvtColor(self.image, cv2.COLOR_GRAY2BGR), np.uint8)

    @property
    def image_grey(self) -> Image:
        """(H, W) uint8; of a coloured frame, made anew at each call."""
        if self.image.ndim == 2:
            return self.image
        return np.asarray(cv2.cvtColor(self.image, cv2.COLOR_BGR2GRAY), np.uint8)


@dataclass(slots=True)
class SourceCounters:
    """What happened to a source so far; counts since it was opened.

    Attributes:
        frames: frames handed out.
        dropped: frames that came but were replaced by a newer one before anybody took them.
        corrupt: frames or images that could not be decoded or used.
        stalls: times that no frame came for longer than the read time-out.
        reconnects: successful re-openings after a loss.
    """

    frames: int = 0
    dropped: int = 0
    corrupt: int = 0
    stalls: int = 0
    reconnects: int = 0

    def __add__(self, other: SourceCounters) -> SourceCounters:
        return SourceCounters(
            self.frames + other.frames,
            self.dropped + other.dropped,
            self.corrupt + other.corrupt,
            self.stalls + other.stalls,
            self.reconnects + other.reconnects,
        )


class EndOfSource(Exception):  # noqa: N818 - a signal like StopIteration, not an error
    """The film or folder is at its end; a live source never raises it."""


class FrameSource(Protocol):
    """Live cameras, films, image folders and the simulated classroom.

    Attributes:
        camera_id: which camera its frames name.
        is_live: frames come at the camera's pace and are lost when nobody takes them.
        has_monotonic_clock: timestamps are `time.monotonic()`; otherwise they are positions in a film.
        counters: totals since it was opened.
        online: a frame came within the read time-out (always true for a file).
    """

    camera_id: str
    is_live: bool
    has_monotonic_clock: bool
    counters: SourceCounters

    @property
    def online(self) -> bool:
        """Whether frames are coming at present."""
        ...

    def read(self, timeout_s: float = 1.0) -> Frame | None:
        """Takes the next frame: of a live source the newest one that was not taken yet.

        Returns:
            A frame, or None when none came within `timeout_s`.

        Raises:
            EndOfSource: the film or folder is at its end.
            SourceError: the source cannot be used at all (never for a live camera that may come back).
        """
        ...

    def close(self) -> None:
        """Releases the device and ends the child process, if any; may be called twice."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc_info: object) -> None: ...
