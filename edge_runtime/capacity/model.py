"""From a board's costs to the load of a configuration.

Linear in the measured costs, with the rates as factors, for each camera:

    cores = ( fps     · (decode + frame)      + follow rate · follow
            + scan rate · (scan + prepare …)  + classify rate · (align + network) + pupils ) / 1000

where a stage costs base + faces · face. Costs between two measured heights or scan widths are interpolated by the
number of pixels. A camera's loop is one thread, so its part may not be more than one core however many there are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from edge_runtime.capacity.perf import Perf, StageCost

WIDTH_PER_HEIGHT: Final = 16 / 9
LEAST_ERROR: Final = 0.15  # of a foretold load, even where the checks came out closer
_CODEC: Final = "MJPG"


@dataclass(frozen=True, slots=True)
class Demand:
    """What a board is asked to do.

    Attributes:
        cameras: alike.
        faces: each of them sees, all readable unless `readable` says otherwise.
        height_px, fps: of the frames.
        scan_rate_hz, follow_rate_hz, classify_rate_hz, scan_width_px: as in the configuration; see `in_force`.
        readable: faces that are wide enough to be classified; None: all.
        max_batch: faces in one call of the network.
        engine: `backend precision`; empty: the one that runs on the board by itself.
        with_decoding: frames are decoded on the board.
    """

    cameras: int = 1
    faces: float = 25
    height_px: int = 1080
    fps: float = 15.0
    scan_rate_hz: float = 2.0
    follow_rate_hz: float = 12.5
    classify_rate_hz: float = 2.0
    scan_width_px: int = 960
    readable: float | None = None
    max_batch: int = 32
    engine: str = ""
    with_decoding: bool = True


@dataclass(frozen=True, slots=True)
class Load:
    """What it takes.

    Attributes:
        cores: busy in all; 1.0 is one core all the time.
        loop: cores that one camera's loop takes; it is one thread.
        scan: cores that all scans take; with `roomtone run --camera` they share one thread.
        parts: what takes it, cores of all cameras: decode, follow, scan, classify, other.
    """

    cores: float
    loop: float
    scan: float
    parts: dict[str, float] = field(default_factory=dict)

    def times(self, factor: float) -> Load:
        """On a board whose cores take so many times as long."""
        parts = {name: value * factor for name, value in self.parts.items()}
        return Load(self.cores * factor, self.loop * factor, self.scan * factor, parts)


def in_force(perf: Perf, demand: Demand) -> Demand:
    """The demand as the board's bundle lets it be: a network of sequences is asked at its own stride."""
    stride_s = perf.bundle.stride_s
    return demand if stride_s is None else replace(demand, classify_rate_hz=1 / stride_s)


def load(perf: Perf, demand: Demand) -> Load:
    """The load of a configuration.

    Args:
        perf: of the board.
        demand: the configuration.

    Raises:
        ValueError: the named engine was not measured.
    """
    demand = in_force(perf, demand)
    readable = demand.faces if demand.readable is None else demand.readable
    follow_hz = min(demand.follow_rate_hz, demand.fps)
    rates = {
        "frame": demand.fps,
        "follow": follow_hz,
        "scan": min(demand.scan_rate_hz, follow_hz),
        "classify": min(demand.classify_rate_hz, demand.fps),
        "look": min(1.0, demand.classify_rate_hz),  # a pace of its own, but only in faces that are classified
    }
    beats = {
        beat: sum(
            _stage_ms(
                perf, stage, demand.height_px, readable if beat in ("classify", "look") else demand.faces
            )
            for stage in {cost.stage for cost in perf.stages if cost.beat == beat}
        )
        for beat in rates
    }
    classify_ms = beats["classify"] + network_ms(perf, demand.engine, readable, demand.max_batch)
    decode_ms = decode_cost_ms(perf, demand.height_px) if demand.with_decoding else 0.0
    parts = {
        "decode": demand.fps * decode_ms,
        "follow": rates["follow"] * beats["follow"],
        "scan": rates["scan"] * (beats["scan"] + scan_ms(perf, demand)),
        "classify": rates["classify"] * classify_ms + rates["look"] * beats["look"],
        "other": rates["frame"] * beats["frame"],
    }
    each = {name: value / 1000 for name, value in parts.items()}
    scan = rates["scan"] * scan_ms(perf, demand) / 1000
    return Load(
        cores=demand.cameras * sum(each.values()),
        loop=sum(each.values()) - each["decode"] - scan,
        scan=demand.cameras * scan,
        parts={name: demand.cameras * value for name, value in each.items()},
    )


def error_of(perf: Perf) -> float:
    """How far a foretold load may be off, as a share: nine of ten checks came out closer; at least `LEAST_ERROR`."""
    off = [abs(check.measured_cores / check.predicted_cores - 1) for check in perf.checks]
    return max(LEAST_ERROR, float(np.percentile(off, 90))) if off else 2 * LEAST_ERROR


def decode_cost_ms(perf: Perf, height_px: int) -> float:
    """Of one frame, ms of processor time."""
    rows = [row for row in perf.decode if row.codec == _CODEC] or perf.decode
    return _between([(_pixels(row.height_px), row.cpu_ms) for row in rows], _pixels(height_px))


def scan_ms(perf: Perf, demand: Demand) -> float:
    """Of one scan, ms of processor time."""
    width = min(demand.scan_width_px, round(demand.height_px * WIDTH_PER_HEIGHT))
    rows = [row for row in perf.scan if row.threads == 1]
    base_ms, face_ms = (
        _between([(float(row.width_px) ** 2, getattr(row, figure)) for row in rows], width**2)
        for figure in ("base_ms", "face_ms")
    )
    return base_ms + demand.faces * face_ms


def network_ms(perf: Perf, engine: str, faces: float, max_batch: int) -> float:
    """Of all faces of a moment in as few calls as may be, ms of processor time.

    Raises:
        ValueError: this engine was not measured.
    """
    if faces <= 0:
        return 0.0
    wanted = engine or perf.engine
    rows = {
        row.batch: row.cpu_ms
        for row in perf.inference
        if f"{row.backend} {row.precision}" == wanted and row.threads == 1
    }
    if not rows:
        known = sorted({f"{row.backend} {row.precision}" for row in perf.inference})
        raise ValueError(f"{wanted} was not measured there; measured: {', '.join(known)}")
    (small, small_ms), (large, large_ms) = min(rows.items()), max(rows.items())
    face_ms = max(0.0, (large_ms - small_ms) / (large - small)) if large > small else small_ms / small
    call_ms = max(0.0, small_ms - small * face_ms)
    return math.ceil(faces / max_batch) * call_ms + faces * face_ms


def _stage_ms(perf: Perf, stage: str, height_px: int, faces: float) -> float:
    rows = [cost for cost in perf.stages if cost.stage == stage]

    def at(figure: Callable[[StageCost], float]) -> float:
        return _between([(_pixels(row.height_px), figure(row)) for row in rows], _pixels(height_px))

    return at(lambda row: row.base_ms) + faces * at(lambda row: row.face_ms)


def _pixels(height_px: float) -> float:
    return float(height_px) ** 2 * WIDTH_PER_HEIGHT


def _between(points: list[tuple[float, float]], place: float) -> float:
    """Linear between the points; beyond the last in proportion to the place, below the first constant."""
    places, values = zip(*sorted(points), strict=True)
    if place > places[-1]:
        return float(values[-1] * place / places[-1])
    return float(np.interp(place, places, values))
