"""What a window says: before privacy (`RoomWindow`, stays in RAM), and after it (`ProtectedWindow`).

Only `edge_runtime.room.privacy.protect` makes a `ProtectedWindow`, and the publishing stage takes nothing
else.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edge_runtime.room.index import Grade
from edge_runtime.timetable import Activity


@dataclass(frozen=True, slots=True)
class ZoneReading:
    """One zone of students in one window, exact; never published.

    Attributes:
        readable: people whose expression was read, as in `RoomWindow`; 0 only if nobody counts for the zone.
        shares: (K,) float64, mean class probabilities over the zone's tracks, sum 1; zeros when there is none.
        valence, arousal: in [-1, 1], mean over tracks.
    """

    readable: int
    shares: npt.NDArray[np.float64]
    valence: float
    arousal: float


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
        valence, arousal: in [-1, 1], mean over tracks of what the network measured, else of the label table's
            values; 0 when nobody was readable.
        confidence: mean over tracks of the largest smoothed probability, in [0, 1].
        frames: frames analysed.
        intensity: mean distance from neutral on the circumplex, in [0, 1].
        context: activity in force at most frames.
        context_prior: the activity in force re-weighted the probabilities.
        zones: name → zone of students.
        teacher_shares: (K,) float64, mean class probabilities of who was in the teacher's zone; None when
            nobody was, or when that zone is not read.
        dominance: mean over tracks, in [-1, 1]; None when neither network nor label table gives it.
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
    intensity: float = 0.0
    context: Activity | None = None
    context_prior: bool = False
    zones: dict[str, ZoneReading] = field(default_factory=dict)
    teacher_shares: npt.NDArray[np.float64] | None = None
    dominance: float | None = None


@dataclass(frozen=True, slots=True)
class Band:
    """A count as a range, both ends inclusive."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class ProtectedZone:
    """What of one zone of students may leave.

    Attributes:
        suppressed: fewer readable people in it than `min_group`, or, the room's numbers being known, its own
            would tell those of fewer people elsewhere; then only `readable` is told.
        readable: banded count.
        positive_activity, negative_activity: as of the room; None when suppressed.
        valence, arousal: rounded to 0.05; None when suppressed.
    """

    suppressed: bool
    readable: Band
    positive_activity: float | None = None
    negative_activity: float | None = None
    valence: float | None = None
    arousal: float | None = None


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
        context: activity in force; None when none is, or when suppressed.
        context_prior: that activity re-weighted the probabilities; None as `context`.
        positive_activity, negative_activity: sums of `shares` by polarity; None when suppressed.
        classroom_activity: P3's index, see `edge_runtime.room.index`, rounded to 0.05; None when suppressed.
        grade: of `classroom_activity`; None when suppressed.
        teacher_activity: rounded to 0.05; None when suppressed, when no teacher was read, and always without
            a written agreement.
        intensity: mean distance from neutral on the circumplex, in [0, 1], rounded to 0.05; None when
            suppressed.
        dominance: rounded to 0.05; None when suppressed, or when the bundle does not give it.
        zones: name → zone of students; empty when suppressed.
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
    context: Activity | None = None
    context_prior: bool | None = None
    positive_activity: float | None = None
    negative_activity: float | None = None
    classroom_activity: float | None = None
    grade: Grade | None = None
    teacher_activity: float | None = None
    intensity: float | None = None
    dominance: float | None = None
    zones: dict[str, ProtectedZone] = field(default_factory=dict)
