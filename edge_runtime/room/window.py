"""What a window says: before privacy (`RoomWindow`, stays in RAM), and after it (`ProtectedWindow`).

Only `edge_runtime.room.privacy.protect` makes a `ProtectedWindow`, and the publishing stage takes nothing
else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class RoomWindow:
    """One tumbling window, exact; never published.

    Attributes:
        start_s, end_s: on the capture clock; `end_s` is exclusive. A last window may be shorter than the
            others.
        is_partial: the window was cut short by the end of the source, a shutdown or the privacy shutter.
        seen: people seen: the most faces present at one moment of the window (ids may be re-issued, so tracks
            would overcount).
        readable: people whose expression was read: the most counting tracks at one moment, at most `seen`.
        shares: (K,) float64, mean class probabilities over all counting tracks, sum 1; zeros when nobody was
            readable.
        valence, arousal: in [-1, 1], mean over tracks of the label table's values; 0 when nobody was
            readable.
        confidence: mean over tracks of the largest smoothed probability, in [0, 1].
        frames: frames analysed.
    """

    start_s: float
    end_s: float
    is_partial: bool
    seen: int
    readable: int
    shares: npt.NDArray[np.float64]
    valence: float
    arousal: float
    confidence: float
    frames: int


@dataclass(frozen=True, slots=True)
class Band:
    """A count as a range, both ends inclusive."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class ProtectedWindow:
    """One window as it may leave the device.

    Attributes:
        start_s, end_s, is_partial, frames: as in `RoomWindow`.
        suppressed: fewer readable people than the policy's `min_group`; then the fields below `readable` are
            empty.
        seen, readable: banded counts.
        shares: label → share, multiples of 0.05 that sum to 1; empty when suppressed.
        readings: reading for learning → share, sums of `shares` by the bundle's label table; empty when
            suppressed.
        dominant: label with the largest share; None when suppressed.
        valence, arousal: rounded to 0.05; None when suppressed.
        confidence: rounded to 0.05; None when suppressed.
    """

    start_s: float
    end_s: float
    is_partial: bool
    frames: int
    suppressed: bool
    seen: Band
    readable: Band
    shares: dict[str, float]
    readings: dict[str, float]
    dominant: str | None
    valence: float | None
    arousal: float | None
    confidence: float | None
