"""Flicker of lamps: mains of 50 or 60 Hz make lamps pulse at 100 or 120 Hz, and a camera sees the beat with its rate.

At 30 frames/s a pulse of 100 Hz comes back as |100 − 3·30| = 10 Hz. A rolling shutter turns it into bands that
wander, so the light is followed in strips across the picture, not in its mean, where the bands cancel. Where the
rate divides the pulse (25 frames/s and 100 Hz) the bands stand still and cannot be told from the room.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from edge_runtime.frames.frame import Image

STRIPS: Final = 16
MAINS_HZ: Final = (50, 60)
_STEP_PX: Final = 8
_LEAST_FRAMES: Final = 90
_LEAST_S: Final = 4.0
_LEAST_BEAT_HZ: Final = 0.7  # people and clouds are slower and stronger than lamps
_TOLERANCE_HZ: Final = 0.35  # the beat of a rate that is known to a thousandth is off by some tenths
_GRID_HZ: Final = 0.05
_SEEN: Final = 0.006  # relative amplitude from which it can be seen, and disturbs small faces
_ABOVE_NOISE: Final = 4.0  # times the median amplitude at other frequencies

FloatSeries = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Beat:
    """What one mains frequency would look like, and how much of it is there.

    Attributes:
        mains_hz: 50 or 60.
        beat_hz: where it would show in this camera's rate.
        amplitude: of the light, 0..1 of its mean; None where it cannot be told from the room.
        is_seen: strong enough, and stronger than what else moves.
    """

    mains_hz: int
    beat_hz: float
    amplitude: float | None
    is_seen: bool = False


class LightSeries:
    """The light of the strips of each frame."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._strips: list[FloatSeries] = []

    def add(self, image_bgr: Image, timestamp_s: float) -> None:
        """Takes a frame; cheap enough for each one.

        Args:
            image_bgr: (H, W, 3) uint8; left out where it has fewer rows than there are strips.
            timestamp_s: of its capture.
        """
        rows = image_bgr[:, ::_STEP_PX, 1].mean(axis=1, dtype=np.float32)  # green is most of the light
        if len(rows) < STRIPS:
            return
        edges = np.linspace(0, len(rows), STRIPS + 1).astype(int)
        self._strips.append(np.add.reduceat(rows, edges[:-1]) / np.diff(edges))
        self._times.append(timestamp_s)

    @property
    def fps(self) -> float | None:
        """Frames per second; None for fewer than two."""
        if len(self._times) < 2 or self._times[-1] <= self._times[0]:
            return None
        return float(1 / np.median(np.diff(self._times)))

    def beats(self) -> tuple[Beat, ...]:
        """Both mains frequencies; empty where the series is too short to say anything."""
        fps = self._rate()
        times = np.array(self._times)
        if fps is None or len(times) < _LEAST_FRAMES or times[-1] - times[0] < _LEAST_S:
            return ()
        strips = np.array(self._strips, np.float64)
        relative = strips / np.maximum(strips.mean(axis=0), 1.0) - 1
        relative -= _smoothed(relative, max(3, round(fps)))
        frequencies = np.arange(_LEAST_BEAT_HZ, fps / 2, _GRID_HZ)
        if len(frequencies) == 0:
            return ()
        spectrum = _amplitudes(times - times[0], relative, frequencies)
        noise = float(np.median(spectrum))
        return tuple(_beat(mains, fps, frequencies, spectrum, noise) for mains in MAINS_HZ)

    def _rate(self) -> float | None:
        """The mean rate, which is exact enough for harmonics; frames that were dropped are gaps of whole periods."""
        period = None if self.fps is None else 1 / self.fps
        if period is None:
            return None
        steps = np.maximum(1, np.round(np.diff(self._times) / period))
        return float(steps.sum() / (self._times[-1] - self._times[0]))


def alias_hz(pulse_hz: float, fps: float) -> float:
    """Where a pulse shows in a series of this rate, 0 .. fps/2."""
    return abs(pulse_hz - round(pulse_hz / fps) * fps)


def _beat(mains: int, fps: float, frequencies: FloatSeries, spectrum: FloatSeries, noise: float) -> Beat:
    beat = alias_hz(2 * mains, fps)
    near = np.abs(frequencies - beat) <= _TOLERANCE_HZ
    if beat < _LEAST_BEAT_HZ + _TOLERANCE_HZ or not near.any():
        return Beat(mains, beat, None)
    amplitude = float(spectrum[near].max())
    return Beat(mains, beat, amplitude, amplitude > max(_SEEN, _ABOVE_NOISE * noise))


def _amplitudes(times: FloatSeries, series: FloatSeries, frequencies: FloatSeries) -> FloatSeries:
    """(F,) amplitudes at these frequencies, root mean square over the strips; the times need not be even."""
    window = np.hanning(len(times) + 2)[1:-1]
    weighted = series * window[:, None] / window.sum()
    found = np.empty(len(frequencies))
    for index, frequency in enumerate(frequencies):
        wave = np.exp(-2j * np.pi * frequency * times)
        found[index] = np.sqrt((np.abs(2 * (wave @ weighted)) ** 2).mean())
    return found


def _smoothed(series: FloatSeries, length: int) -> FloatSeries:
    """The running mean over `length` frames, the ends repeated."""
    padded = np.pad(series, ((length // 2, length - 1 - length // 2), (0, 0)), mode="edge")
    total = np.cumsum(np.concatenate([np.zeros((1, series.shape[1])), padded]), axis=0)
    return np.asarray((total[length:] - total[:-length]) / length)
