"""Temporal smoothing of each face's probabilities: an exponential average in event time."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


class Smoother:
    """Keeps one running average per track, as long as the track lives.

    Args:
        time_constant_s: after so long, a sudden change has been followed by 63 %; 0 switches smoothing off.
    """

    def __init__(self, time_constant_s: float) -> None:
        self._time_constant_s = time_constant_s
        self._state: dict[int, tuple[float, npt.NDArray[np.float32]]] = {}

    def smooth(
        self, now_s: float, track_ids: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Feeds the probabilities of one moment.

        Args:
            now_s: on the capture clock.
            track_ids: (N,) int64, each at most once.
            probabilities: (N, K) float32, rows sum to 1.

        Returns:
            (N, K) float32, rows sum to 1; a track's first row is returned as it is.
        """
        smoothed = np.empty_like(probabilities)
        for row, (track, new) in enumerate(zip(track_ids.tolist(), probabilities, strict=True)):
            value = new.copy()
            if track in self._state and self._time_constant_s > 0:
                then_s, old = self._state[track]
                weight = -math.expm1(-max(0.0, now_s - then_s) / self._time_constant_s)
                value = old + np.float32(weight) * (new - old)
            self._state[track] = now_s, value
            smoothed[row] = value
        return smoothed

    def keep_only(self, track_ids: npt.NDArray[np.int64]) -> None:
        """Forgets all tracks but these."""
        alive = set(track_ids.tolist())
        self._state = {track: state for track, state in self._state.items() if track in alive}
