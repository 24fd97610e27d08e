"""Tumbling windows in event time: from the faces of moments to what the room says in a minute."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from edge_runtime.room.window import RoomWindow

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


@dataclass(slots=True)
class _TrackSum:
    total: npt.NDArray[np.float64]
    confidence: float
    count: int
    born_s: float
    last_s: float


class WindowAggregator:
    """Collects the moments of the present window, and closes it when event time has passed its end.

    Each track counts once, however often it was classified: its shares are the mean of its own moments, the
    room's are the mean over tracks. How many people there were is taken from single moments, since ids may be
    re-issued.

    Args:
        labels: of the bundle, in order.
        window_s: length of a window.
        min_track_s: a track that was there for less than this does not count.
    """

    def __init__(self, labels: Sequence[LabelValues], *, window_s: float, min_track_s: float) -> None:
        self._valence = np.array([label.valence for label in labels])
        self._arousal = np.array([label.arousal for label in labels])
        self._window_s, self._min_track_s = window_s, min_track_s
        self._start_s: float | None = None
        self._first_s = self._last_s = 0.0  # of the frames in the present window
        self._begin()

    def _begin(self) -> None:
        self._tracks: dict[int, _TrackSum] = {}
        self._seen = self._readable = self._frames = 0

    def observe_frame(self, now_s: float, seen: int) -> RoomWindow | None:
        """One analysed frame.

        Args:
            now_s: its time on the capture clock, not less than the last one's.
            seen: faces in it, readable or not.

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
        return closed

    def observe_probabilities(
        self,
        now_s: float,
        track_ids: npt.NDArray[np.int64],
        age_s: npt.NDArray[np.float64],
        probabilities: npt.NDArray[np.float32],
    ) -> None:
        """The smoothed probabilities of one moment; `observe_frame` of the same moment comes first.

        Args:
            now_s: on the capture clock.
            track_ids: (N,) int64.
            age_s: (N,) float64, since the track was born.
            probabilities: (N, K) float32, rows sum to 1.
        """
        settled = 0
        for track, age, row in zip(track_ids.tolist(), age_s.tolist(), probabilities, strict=True):
            known = self._tracks.get(track)
            if known is None:
                known = _TrackSum(np.zeros(len(self._valence)), 0.0, 0, now_s - age, now_s)
                self._tracks[track] = known
            known.total += row
            known.confidence += float(row.max())
            known.count += 1
            known.last_s = now_s
            settled += self._counts(known)
        self._readable = max(self._readable, settled)

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

    def _close(self, end_s: float, *, is_partial: bool) -> RoomWindow | None:
        if self._frames == 0 or self._start_s is None:
            return None
        counting = [track for track in self._tracks.values() if self._counts(track)]
        shares, confidence = np.zeros(len(self._valence)), 0.0
        if counting:
            shares = np.mean([track.total / track.count for track in counting], axis=0)
            shares /= shares.sum()
            confidence = float(np.mean([track.confidence / track.count for track in counting]))
        window = RoomWindow(
            start_s=self._start_s,
            end_s=end_s,
            is_partial=is_partial,
            seen=max(self._seen, self._readable),
            readable=self._readable,
            shares=shares,
            valence=float(shares @ self._valence),
            arousal=float(shares @ self._arousal),
            confidence=confidence,
            frames=self._frames,
        )
        self._begin()
        return window
