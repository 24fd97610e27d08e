"""Every span of a run with its begin, end and processor time, for the profiler; `Spans` fills it when it is asked to.

A thread appends to a buffer of its own, so that no lock is needed. A span takes 32 bytes; a thread keeps the first
500,000 of them and counts the others.
"""

from __future__ import annotations

import itertools
import threading
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_MOST_SPANS: Final = 500_000  # of each thread; 16 MB


@dataclass(frozen=True, slots=True)
class Span:
    """One stage at work once.

    Attributes:
        stage: its name.
        thread: name of the thread.
        begun_s, ended_s: on `time.perf_counter`.
        cpu_s: processor time of this thread meanwhile; of the threads that a library started, nothing.
    """

    stage: str
    thread: str
    begun_s: float
    ended_s: float
    cpu_s: float

    @property
    def duration_s(self) -> float:
        """By the clock on the wall."""
        return self.ended_s - self.begun_s


class Recording:
    """Spans and gauges of all threads.

    Attributes:
        left_out: spans that had no room any more.
    """

    def __init__(self, most_spans: int = _MOST_SPANS) -> None:
        self._most = 4 * most_spans
        self._numbers = itertools.count()
        self._names: dict[str, int] = {}
        self._own = threading.local()
        self._threads: list[tuple[str, array[float], array[float]]] = []  # name, spans, gauges
        self.left_out = 0

    def add(self, name: str, begun_s: float, ended_s: float, cpu_s: float) -> None:
        """Adds a span of this thread."""
        spans, _ = self._buffers()
        if len(spans) < self._most:
            spans.extend((self._index(name), begun_s, ended_s, cpu_s))
        else:
            self.left_out += 1

    def gauge(self, name: str, now_s: float, value: float) -> None:
        """Adds a value that was read now: a queue's length, say."""
        _, gauges = self._buffers()
        if len(gauges) < self._most:
            gauges.extend((self._index(name), now_s, value))

    def spans(self) -> list[Span]:
        """All of them, by thread, in the order in which they ended; while threads still add, those so far."""
        names = {index: name for name, index in list(self._names.items())}
        return [
            Span(names[int(row[0])], thread, *row[1:])
            for thread, spans, _ in list(self._threads)
            for row in _rows(spans, 4)
        ]

    def gauges(self, name: str) -> list[tuple[float, float]]:
        """(time, value) pairs of one gauge."""
        index = self._names.get(name)
        rows = (row for _, _, gauges in list(self._threads) for row in _rows(gauges, 3))
        return sorted((row[1], row[2]) for row in rows if row[0] == index)

    def _index(self, name: str) -> int:
        index = self._names.get(name)
        return self._names.setdefault(name, next(self._numbers)) if index is None else index

    def _buffers(self) -> tuple[array[float], array[float]]:
        """Of this thread; its identity would not do, since a later thread may get the same one."""
        try:
            return self._own.buffers  # type: ignore[no-any-return]
        except AttributeError:
            buffers = self._own.buffers = array("d"), array("d")
            self._threads.append((threading.current_thread().name, *buffers))
            return buffers


def own_times(spans: Sequence[Span]) -> list[tuple[float, float]]:
    """(wall, processor) seconds of each span without the spans that lie within it, in the given order.

    Args:
        spans: of one thread; nested or apart, never overlapping.
    """
    own = [(span.duration_s, span.cpu_s) for span in spans]
    open_ones: list[int] = []
    for index in sorted(range(len(spans)), key=lambda i: (spans[i].begun_s, -spans[i].ended_s)):
        span = spans[index]
        while open_ones and spans[open_ones[-1]].ended_s <= span.begun_s:
            open_ones.pop()
        if open_ones:
            wall_s, cpu_s = own[open_ones[-1]]
            own[open_ones[-1]] = wall_s - span.duration_s, cpu_s - span.cpu_s
        open_ones.append(index)
    return own


def _rows(buffer: array[float], width: int) -> Iterator[tuple[float, ...]]:
    whole = buffer[: len(buffer) // width * width].tolist()
    return zip(*(whole[column::width] for column in range(width)), strict=True)
