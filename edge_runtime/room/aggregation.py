"""Tumbling windows in event time: from the faces of moments to what the room says in a minute."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from edge_runtime.room.window import RoomWindow, ZoneReading
from edge_runtime.room.zoning import TEACHER, Places, RoomZones
from edge_runtime.timetable import Activity
from edge_runtime.zones import OUTSIDE

_LEAST_S: Final = 0.001  # shorter is no window: a single photograph, or the rounding of frame times


class LabelValues(Protocol):
    """What of a bundle's label the aggregation needs."""

    @property
    def valence(self) -> float:
        """In [-1, 1]."""
        ...

    @property
    def arousal(self) -> float:
        """In [-1, 1]."""
        ...

    @property
    def dominance(self) -> float | None:
        """In [-1, 1]; None where the bundle's table does not give it."""
        ...


@dataclass(slots=True)
class _TrackSum:
    total: npt.NDArray[np.float64]
    dimensions: npt.NDArray[np.float64]
    confidence: float
    count: int
    born_s: float
    last_s: float

    @property
    def shares(self) -> npt.NDArray[np.float64]:
        return self.total / self.count


class WindowAggregator:
    """Collects the moments of the present window, and closes it when event time has passed its end.

    Each track counts once, however often it was classified: its shares are the mean of its own moments, the
    room's are the mean over tracks. How many people there were is taken from single moments, since ids may be
    re-issued. A track belongs to the zone that held its face at most of the window's moments.

    Args:
        labels: of the bundle, in order.
        window_s: length of a window.
        min_track_s: a track that was there for less than this does not count.
        zones: of the room; None: everybody is a student, wherever they sit.
        dimensions: what the network measures of valence, arousal and dominance; the rest is looked up in the
            label table.
        context_prior: the probabilities that come here were re-weighted by the activity in force.
    """

    def __init__(
        self,
        labels: Sequence[LabelValues],
        *,
        window_s: float,
        min_track_s: float,
        zones: RoomZones | None = None,
        dimensions: Sequence[str] = (),
        context_prior: bool = False,
    ) -> None:
        valence = np.array([label.valence for label in labels])
        arousal = np.array([label.arousal for label in labels])
        dominance = [label.dominance for label in labels]
        self._table = {"valence": valence, "arousal": arousal}
        if None not in dominance:
            self._table["dominance"] = np.array(dominance, np.float64)
        self._measured = {name: column for column, name in enumerate(dimensions)}
        # How far a label is from neutral; those of a table that leaves the unit circle are as far as can be.
        self._intensity = np.minimum(1.0, np.hypot(valence, arousal))
        self._window_s, self._min_track_s = window_s, min_track_s
        self._zones = zones or RoomZones()
        self._context_prior = context_prior
        self._start_s: float | None = None
        self._first_s = self._last_s = 0.0  # of the frames in the present window
        self._begin()

    def _begin(self) -> None:
        self._tracks: dict[int, _TrackSum] = {}
        # Of each track, the moments in each place; the last is outside, so that `OUTSIDE` finds it.
        self._votes: dict[int, npt.NDArray[np.int64]] = {}
        self._place: dict[int, int] = {}  # of the present moment
        self._readable_in: Counter[int] = Counter()  # the most at one moment, by place
        self._activities: Counter[Activity | None] = Counter()
        self._seen = self._readable = self._frames = 0

    def observe_frame(self, now_s: float, seen: int, activity: Activity | None = None) -> RoomWindow | None:
        """One analysed frame.

        Args:
            now_s: its time on the capture clock, not less than the last one's.
            seen: faces in it, readable or not.
            activity: in force; None: none.

        Returns:
            The window that this frame shows to be over, if any. The frame itself belongs to the next one.
        """
        closed = self.advance(now_s)
        if self._start_s is None:
            self._start_s = now_s
        if self._frames == 0:
            self._first_s = now_s
        self._last_s = now_s
        self._frames += 1
        self._seen = max(self._seen, seen)
        self._activities[activity] += 1
        return closed

    def observe_places(self, track_ids: npt.NDArray[np.int64], places: Places) -> None:
        """Where all faces of one moment are, read or not; `observe_probabilities` of that moment comes after it.

        Args:
            track_ids: (N,) int64.
            places: (N,) int64, from `RoomZones.places`.
        """
        self._place = dict(zip(track_ids.tolist(), places.tolist(), strict=True))
        for track, place in self._place.items():
            if track not in self._votes:
                self._votes[track] = np.zeros(len(self._zones.names) + 2, np.int64)
            self._votes[track][place] += 1

    def observe_probabilities(
        self,
        now_s: float,
        track_ids: npt.NDArray[np.int64],
        age_s: npt.NDArray[np.float64],
        probabilities: npt.NDArray[np.float32],
        dimensions: npt.NDArray[np.float32] | None = None,
    ) -> None:
        """The smoothed probabilities of one moment; `observe_frame` of the same moment comes first.

        Args:
            now_s: on the capture clock.
            track_ids: (N,) int64.
            age_s: (N,) float64, since the track was born.
            probabilities: (N, K) float32, rows sum to 1.
            dimensions: (N, D) float32, what the network measured; None: nothing.
        """
        if dimensions is None:
            dimensions = np.zeros((len(track_ids), 0), np.float32)
        settled: Counter[int] = Counter()
        for track, age, row, measured in zip(
            track_ids.tolist(), age_s.tolist(), probabilities, dimensions, strict=True
        ):
            known = self._tracks.get(track)
            if known is None:
                known = _TrackSum(
                    np.zeros(len(self._intensity)), np.zeros(len(measured)), 0.0, 0, now_s - age, now_s
                )
                self._tracks[track] = known
            known.total += row
            known.dimensions += measured
            known.confidence += float(row.max())
            known.count += 1
            known.last_s = now_s
            settled[self._place.get(track, OUTSIDE)] += self._counts(known)
        self._readable_in |= settled
        are_students = self._zones.are_students(np.fromiter(settled, np.int64, len(settled)))
        counts = np.fromiter(settled.values(), np.int64, len(settled))
        self._readable = max(self._readable, int(counts[are_students].sum()))

    def advance(self, now_s: float) -> RoomWindow | None:
        """Closes the window if event time has passed its end; windows without a frame are not made."""
        if self._start_s is None or now_s < self._start_s + self._window_s:
            return None
        end_s = self._start_s + self._window_s
        window = self._close(end_s, is_partial=False)
        # The next window begins on the beat of the first one, however long the gap was.
        self._start_s = end_s + self._window_s * math.floor((now_s - end_s) / self._window_s)
        return window

    def flush(self) -> RoomWindow | None:
        """Closes the present window early: the source ended, the device stops, the shutter closes.

        It ends one mean frame interval after its last frame, so that a film's windows add up to its length.
        """
        if self._start_s is None:
            return None
        interval_s = (self._last_s - self._first_s) / (self._frames - 1) if self._frames > 1 else 0.0
        end_s = min(self._last_s + max(interval_s, _LEAST_S), self._start_s + self._window_s)
        window = self._close(end_s, is_partial=end_s < self._start_s + self._window_s - _LEAST_S)
        self._start_s = None
        return window

    def _counts(self, track: _TrackSum) -> bool:
        return track.last_s - track.born_s >= self._min_track_s

    def _place_of(self, track: int) -> int:
        """The place of most moments; of two alike the teacher's, then the first zone's."""
        votes = self._votes.get(track)
        if votes is None:
            return OUTSIDE
        most = int(votes.argmax())
        return OUTSIDE if most == len(votes) - 1 else most

    def _close(self, end_s: float, *, is_partial: bool) -> RoomWindow | None:
        if self._frames == 0 or self._start_s is None:
            return None
        groups: dict[int, list[_TrackSum]] = {}
        for track, known in self._tracks.items():
            if self._counts(known):
                groups.setdefault(self._place_of(track), []).append(known)
        places = np.fromiter(groups, np.int64, len(groups))
        students = [
            known
            for place, is_student in zip(places.tolist(), self._zones.are_students(places), strict=True)
            if is_student
            for known in groups[place]
        ]
        shares = self._mean_shares(students)
        readable = min(self._readable, len(students))
        teachers = groups.get(TEACHER, []) if self._zones.reads_teacher else []
        window = RoomWindow(
            start_s=self._start_s,
            end_s=end_s,
            is_partial=is_partial,
            seen=max(self._seen, readable),
            readable=readable,
            shares=shares,
            valence=self._mean("valence", students, shares) or 0.0,
            arousal=self._mean("arousal", students, shares) or 0.0,
            confidence=float(np.mean([known.confidence / known.count for known in students] or [0.0])),
            frames=self._frames,
            intensity=float(shares @ self._intensity),
            context=self._activities.most_common(1)[0][0],
            context_prior=self._context_prior,
            zones={
                name: self._zone_reading(place, groups.get(place, []))
                for place, name in enumerate(self._zones.names, start=TEACHER + 1)
            },
            dominance=self._mean("dominance", students, shares),
            teacher_shares=self._mean_shares(teachers) if teachers else None,
        )
        self._begin()
        return window

    def _zone_reading(self, place: int, tracks: list[_TrackSum]) -> ZoneReading:
        shares = self._mean_shares(tracks)
        return ZoneReading(
            # Who sat here for most of the window, but no more than were here at one moment.
            readable=min(len(tracks), max(1, self._readable_in[place])),
            shares=shares,
            valence=self._mean("valence", tracks, shares) or 0.0,
            arousal=self._mean("arousal", tracks, shares) or 0.0,
        )

    def _mean(self, name: str, tracks: list[_TrackSum], shares: npt.NDArray[np.float64]) -> float | None:
        """Mean over tracks of what the network measured, else of the label table's values; None: neither."""
        if name in self._measured and tracks:
            column = self._measured[name]
            return float(np.mean([known.dimensions[column] / known.count for known in tracks]))
        return float(shares @ self._table[name]) if name in self._table else None

    def _mean_shares(self, tracks: list[_TrackSum]) -> npt.NDArray[np.float64]:
        if not tracks:
            return np.zeros(len(self._intensity))
        total: npt.NDArray[np.float64] = np.sum([known.shares for known in tracks], axis=0)
        total /= total.sum()
        return total
