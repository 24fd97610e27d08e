"""How fast engines are against each other: in turns, so that whatever else the machine does meets all of them.

One-threaded engines are timed by the processor time that they use, which is their latency on a machine that has
nothing else to do; with more threads that says nothing, so there the clock counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from edge_runtime.frames.frame import Image
from edge_runtime.inference.engine import NOTHING, Engine, Given
from edge_runtime.inference.moment import one_moment

BATCHES: Final = (1, 8)
ROUNDS: Final = 41
_WARM_UP: Final = 2
_Z: Final = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds of one call, round by round.

    Attributes:
        batch: crops in one call.
        ms: (rounds,) in the order of the rounds.
    """

    batch: int
    ms: npt.NDArray[np.float64]

    @property
    def median_ms(self) -> float:
        """Of one call."""
        return float(np.median(self.ms))


@dataclass(frozen=True, slots=True)
class Speedup:
    """How many times as fast as a reference: the median over the rounds, and its 95 % interval."""

    median: float
    low: float
    high: float


def measure_speed(
    engines: Mapping[str, Engine],
    crops: Image,
    *,
    given: Given = NOTHING,
    batches: tuple[int, ...] = BATCHES,
    rounds: int = ROUNDS,
    in_a_row: int = 1,
    on_round: Callable[[int, int], None] = lambda done, total: None,
) -> dict[tuple[str, int], Timing]:
    """Times all engines in turns.

    Between two turns the other engines fill the caches, as decoder and cascades do on a device; several calls in a row
    show what an engine can do when nothing comes between.

    Args:
        engines: name → loaded.
        crops: (N, size, size) uint8, repeated as often as the largest batch needs; of a sequence (N, M, size, size),
            of which a moment's work is timed, see `edge_runtime.inference.moment`.
        given: what belongs to them.
        batches: sizes of one call.
        rounds: at each size, in each of which every engine runs once.
        in_a_row: calls in each turn, of which the last is timed.
        on_round: called with (rounds done, rounds in all).

    Raises:
        EngineError: an engine failed.
    """
    one_thread = all(engine.report.threads == 1 for engine in engines.values())

    def moment(engine: Engine, batch: int) -> Callable[[], object]:
        rows = np.resize(np.arange(len(crops)), batch)
        return one_moment(engine, crops[rows], {kind: values[rows] for kind, values in given.items()})

    return in_turns(
        {name: partial(moment, engine) for name, engine in engines.items()},
        batches=batches,
        rounds=rounds,
        in_a_row=in_a_row,
        clock=time.process_time if one_thread else time.perf_counter,
        on_round=on_round,
    )


def measure_calls(
    calls: Mapping[str, Callable[[Image], object]],
    crops: Image,
    *,
    batches: tuple[int, ...] = BATCHES,
    rounds: int = ROUNDS,
    in_a_row: int = 1,
    clock: Callable[[], float] = time.process_time,
    on_round: Callable[[int, int], None] = lambda done, total: None,
) -> dict[tuple[str, int], Timing]:
    """Times whatever takes a batch of crops, in turns; see `measure_speed`."""

    def prepared(call: Callable[[Image], object], batch: int) -> Callable[[], object]:
        return partial(call, np.ascontiguousarray(np.resize(crops, (batch, *crops.shape[1:]))))

    return in_turns(
        {name: partial(prepared, call) for name, call in calls.items()},
        batches=batches,
        rounds=rounds,
        in_a_row=in_a_row,
        clock=clock,
        on_round=on_round,
    )


def in_turns(
    prepares: Mapping[str, Callable[[int], Callable[[], object]]],
    *,
    batches: tuple[int, ...] = BATCHES,
    rounds: int = ROUNDS,
    in_a_row: int = 1,
    clock: Callable[[], float] = time.process_time,
    on_round: Callable[[int, int], None] = lambda done, total: None,
) -> dict[tuple[str, int], Timing]:
    """Times calls that were made ready for a batch size; see `measure_speed`."""
    times = {(name, batch): np.empty(rounds) for batch in batches for name in prepares}
    # One size after the other: each has its own compiled network, and the caches to itself.
    for place, batch in enumerate(batches):
        calls = {name: prepare(batch) for name, prepare in prepares.items()}
        for number in range(-_WARM_UP, rounds):
            for name, call in calls.items():
                for _ in range(in_a_row - 1):
                    call()
                began_s = clock()
                call()
                if number >= 0:
                    times[name, batch][number] = (clock() - began_s) * 1e3
            on_round(place * rounds + max(number + 1, 0), len(batches) * rounds)
    return {key: Timing(key[1], row) for key, row in times.items()}


def speedup(timing: Timing, reference: Timing) -> Speedup:
    """How many times as fast as the reference, by the ratios of each round.

    The interval is that of a median by order statistics, which assumes nothing about how times are distributed.

    Raises:
        ValueError: the two were not timed in the same rounds.
    """
    if timing.batch != reference.batch or len(timing.ms) != len(reference.ms):
        raise ValueError("timings of different rounds or batches cannot be compared")
    ratios = np.sort(reference.ms / timing.ms)
    count = len(ratios)
    reach = _Z * np.sqrt(count) / 2
    low = max(int(np.floor(count / 2 - reach)), 0)
    high = min(int(np.ceil(count / 2 + reach)), count - 1)
    return Speedup(float(np.median(ratios)), float(ratios[low]), float(ratios[high]))
