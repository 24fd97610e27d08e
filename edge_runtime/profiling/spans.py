"""Stage times of the running loop, as percentiles over the last minute or so.

A span costs two clock reads and one store into a ring buffer, so it is always on; `stats` publishes the
percentiles. The profiler has each span recorded too, with its processor time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter, thread_time
from typing import Final

import numpy as np
import numpy.typing as npt

from edge_runtime.profiling.recording import Recording

_CAPACITY: Final = 4096  # of each stage: more than two minutes at 30 frames/s; 32 KB


class _Ring:
    """The last `_CAPACITY` durations, s."""

    __slots__ = ("_count", "_values")

    def __init__(self) -> None:
        self._values: npt.NDArray[np.float64] = np.empty(_CAPACITY)
        self._count = 0

    def add(self, seconds: float) -> None:
        self._values[self._count % _CAPACITY] = seconds
        self._count += 1

    def values(self) -> npt.NDArray[np.float64]:
        return self._values[: min(self._count, _CAPACITY)]


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Percentiles of one stage, ms, and how many durations they are of."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    count: int


@dataclass(slots=True)
class Spans:
    """Durations of named stages; a stage belongs to one thread.

    Attributes:
        recording: where each span goes beside the percentiles; None: nowhere.
    """

    recording: Recording | None = None
    _rings: dict[str, _Ring] = field(default_factory=dict)

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Adds the duration of the block."""
        recording = self.recording
        cpu_before = thread_time() if recording is not None else 0.0
        begun = perf_counter()
        try:
            yield
        finally:
            ended = perf_counter()
            self.add(stage, ended - begun)
            if recording is not None:
                recording.add(stage, begun, ended, thread_time() - cpu_before)

    def add(self, stage: str, seconds: float) -> None:
        """Adds a duration that was measured elsewhere."""
        ring = self._rings.get(stage)
        if ring is None:
            ring = self._rings[stage] = _Ring()
        ring.add(seconds)

    def gauge(self, name: str, value: float) -> None:
        """Tells the recording, if there is one, a value that is read now."""
        if self.recording is not None:
            self.recording.gauge(name, perf_counter(), value)

    def percentiles(self) -> dict[str, StageTimes]:
        """Stage → percentiles of the durations since the last `clear`, at most the last 4,096."""
        times = {}
        for stage, ring in list(self._rings.items()):  # another thread may add its first
            if len(values := ring.values()):
                p50, p95, p99 = np.percentile(values, [50, 95, 99]) * 1000
                times[stage] = StageTimes(float(p50), float(p95), float(p99), len(values))
        return times

    def clear(self) -> None:
        """Forgets all durations; `stats` reports one interval at a time."""
        self._rings.clear()
