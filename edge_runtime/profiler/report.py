"""From a recorded run to its report: stages, threads, faces, drops, memory. Plain numbers, ready for JSON.

A stage's share is of its own time: what its parts took is theirs. `frame` is the whole of one frame's analysis; what is
left of it when its parts are taken off is the loop's own Python.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from edge_runtime import __version__
from edge_runtime.board import read_board
from edge_runtime.frames.address import masked
from edge_runtime.profiler.floor import Floor
from edge_runtime.profiler.layers import Layer
from edge_runtime.profiler.measuring import Run
from edge_runtime.profiling.recording import Span, own_times

SCHEMA_ID: Final = "roomtone-profile/1"
WAITING: Final = frozenset({"capture", "scan_wait"})
BLOCKS: Final = 40  # parts of a run whose means tell how sure a figure is


@dataclass(frozen=True, slots=True)
class StageReport:
    """One stage.

    Attributes:
        stage, thread: its name and where it ran.
        is_waiting: it waits for something; no work.
        count: spans.
        p50_ms, p95_ms, p99_ms, max_ms: of a span, its parts included.
        self_s: time by the wall clock, its parts not included …
        wall_share: … against the run's.
        cpu_share: of the processor time that its thread spent in it, of the process's; without its parts.
        blocks_ms: mean of a frame in each of up to 40 parts of the run, its parts not included.
    """

    stage: str
    thread: str
    is_waiting: bool
    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    self_s: float
    wall_share: float
    cpu_share: float
    blocks_ms: list[float]


@dataclass(frozen=True, slots=True)
class FacesLatency:
    """Frames with so many faces, analysis of those in which faces were classified, ms."""

    faces: int
    frames: int
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True)
class Report:
    """The whole; `to_json` is `roomtone-profile/1`.

    Attributes:
        device: model, cpu, architecture, cores.
        what: source, bundle, engine and the settings that cost time.
        duration_s, frames, fps: of the loop.
        cpu_ms_per_frame: of all threads and the camera's process.
        frame_blocks_ms: wall time from one frame to the next, mean of each of up to 40 parts of the run.
        interrupted: the operator ended it.
        faces_mean, faces_max: of a frame.
        stages: longest own time first.
        threads: name → share of the processor time.
        drops: what was lost, by reason.
        queues: how much lay ready: mean and most.
        memory: RSS and page faults.
        overhead: what the spans themselves cost.
        latency: frame → new probabilities, ms, where the source's clock tells it.
        latency_by_faces: the same work, by number of faces.
        layers: of the network, when they were asked for.
        floor: the unavoidable, when it was asked for.
    """

    device: dict[str, Any]
    what: dict[str, Any]
    duration_s: float
    frames: int
    fps: float
    cpu_ms_per_frame: float
    frame_blocks_ms: list[float]
    interrupted: bool
    faces_mean: float
    faces_max: int
    stages: list[StageReport]
    threads: dict[str, float]
    drops: dict[str, int]
    queues: dict[str, float]
    memory: dict[str, float]
    overhead: dict[str, float]
    latency: dict[str, float]
    latency_by_faces: list[FacesLatency]
    layers: list[Layer]
    floor: Floor | None

    def to_json(self) -> dict[str, Any]:
        """Plain values; `layers` and `floor` are absent when they were not asked for."""
        document = {"schema": SCHEMA_ID, "roomtone": __version__, "ts": round(time.time(), 3), **asdict(self)}
        for name in ("layers", "floor"):
            if not document[name]:
                del document[name]
        return _rounded(document)  # type: ignore[no-any-return]


def summarize(run: Run, *, layers: Sequence[Layer] = (), floor: Floor | None = None) -> Report:
    """Makes the report of a run of at least one frame."""
    frames = run.stats.frames
    wall_s = run.ended_s - run.began_s
    faces = np.array([value for _, value in run.gauges["faces"]] or [0.0])
    ahead = np.array([value for _, value in run.gauges["decoded_ahead"]] or [0.0])
    rss = [value for _, value in run.usage.rss_mb] or [0.0]
    cpu_s = max(run.usage.cpu_s, 1e-9)
    spans_s = len(run.spans) * run.span_cost_s
    edges = np.linspace(run.began_s, run.ended_s, min(BLOCKS, frames) + 1)
    frame_counts = _frames_by_block(run.spans, edges)
    latencies = [value for _, value in run.gauges["latency_ms"]]
    return Report(
        device=_device(),
        what=_what(run),
        duration_s=wall_s,
        frames=frames,
        fps=frames / wall_s,
        cpu_ms_per_frame=cpu_s / frames * 1000,
        frame_blocks_ms=(np.diff(edges) / np.maximum(frame_counts, 1) * 1000)[frame_counts > 0].tolist(),
        interrupted=run.interrupted,
        faces_mean=float(faces.mean()),
        faces_max=int(faces.max()),
        stages=_stages(run.spans, wall_s, cpu_s, edges, frame_counts),
        threads={
            name: seconds / cpu_s
            for name, seconds in sorted(run.usage.threads_cpu_s.items(), key=lambda item: -item[1])
        },
        drops={
            "replaced by a newer frame": run.stats.dropped_frames,
            "corrupt": run.stats.corrupt_frames,
            "stalls": run.stats.stalls,
            "events lost from the outbox": run.stats.outbox_dropped,
        },
        queues={
            "decoded_ahead_mean": float(ahead.mean()),
            "decoded_ahead_max": float(ahead.max()),
            "outbox_rows": float(run.stats.outbox_rows),
        },
        memory={
            "rss_start_mb": rss[0],
            "rss_end_mb": rss[-1],
            "rss_max_mb": max(rss),
            "page_faults_per_frame": run.usage.page_faults / frames,
            "python_blocks_per_frame": run.usage.python_blocks / frames,
        },
        overhead={
            "spans": float(len(run.spans) + run.left_out),
            "left_out": float(run.left_out),
            "span_us": run.span_cost_s * 1e6,
            "cpu_share": spans_s / cpu_s,
        },
        latency=_percentiles(np.array(latencies)) if latencies else {},
        latency_by_faces=_by_faces(run),
        layers=list(layers),
        floor=floor,
    )


def _device() -> dict[str, Any]:
    board = read_board()
    return {
        "model": board.model,
        "cpu": board.cpu,
        "architecture": board.architecture,
        "cores": board.cores,
        "memory_mb": board.memory_mb,
    }


def _what(run: Run) -> dict[str, Any]:
    config, info = run.config, run.info
    return {
        "source": masked(config.camera.source),
        "bundle": f"{info.bundle_name}@{info.bundle_version}",
        "bundle_digest": info.bundle_digest,
        "engine": f"{info.engine_backend} {info.engine_precision}",
        "instruction_set": info.engine_instruction_set,
        "engine_threads": info.engine_threads,
        "detector": info.detector,
        "scan_rate_hz": config.faces.scan_rate_hz,
        "scan_width_px": config.faces.scan_width_px,
        "scan_threads": config.faces.scan_threads,
        "follow_rate_hz": config.faces.follow_rate_hz,
        "classify_rate_hz": config.inference.classify_rate_hz,
        "max_batch": config.inference.max_batch,
    }


def _stages(
    spans: Sequence[Span], wall_s: float, cpu_s: float, edges: Any, frame_counts: Any
) -> list[StageReport]:
    by_thread: defaultdict[str, list[Span]] = defaultdict(list)
    for span in spans:
        by_thread[span.thread].append(span)
    rows: defaultdict[tuple[str, str], list[tuple[Span, float, float]]] = defaultdict(list)
    for thread, theirs in by_thread.items():
        for span, (own_s, own_cpu_s) in zip(theirs, own_times(theirs), strict=True):
            rows[span.stage, thread].append((span, own_s, own_cpu_s))
    reports = []
    for (stage, thread), found in rows.items():
        begun = np.array([span.begun_s for span, _, _ in found])
        own = np.array([own_s for _, own_s, _ in found])
        sums, _ = np.histogram(begun, edges, weights=own)
        percentiles = _percentiles(np.array([span.duration_s for span, _, _ in found]) * 1000)
        reports.append(
            StageReport(
                stage,
                thread,
                is_waiting=stage in WAITING,
                count=len(found),
                **percentiles,
                self_s=float(own.sum()),
                wall_share=float(own.sum()) / wall_s,
                cpu_share=max(0.0, sum(own_cpu_s for _, _, own_cpu_s in found)) / cpu_s,
                blocks_ms=(sums / np.maximum(frame_counts, 1) * 1000)[frame_counts > 0].tolist(),
            )
        )
    return sorted(reports, key=lambda report: -report.self_s)


def _frames_by_block(spans: Sequence[Span], edges: Any) -> Any:
    return np.histogram([span.begun_s for span in spans if span.stage == "frame"], edges)[0]


def _percentiles(values_ms: Any) -> dict[str, float]:
    p50, p95, p99 = np.percentile(values_ms, [50, 95, 99])
    return {
        "p50_ms": float(p50),
        "p95_ms": float(p95),
        "p99_ms": float(p99),
        "max_ms": float(np.max(values_ms)),
    }


def _by_faces(run: Run) -> list[FacesLatency]:
    """Of the frames in which faces were classified; the number is that of the frame's faces."""
    classified_s = np.array([moment for moment, _ in run.gauges["batch"]])
    faces_s = np.array([moment for moment, _ in run.gauges["faces"]])
    durations: defaultdict[int, list[float]] = defaultdict(list)
    for span in run.spans:
        if span.stage != "frame":
            continue
        first = int(np.searchsorted(classified_s, span.begun_s))
        if first < len(classified_s) and classified_s[first] <= span.ended_s:
            which = int(np.searchsorted(faces_s, span.begun_s))
            durations[int(run.gauges["faces"][which][1])].append(span.duration_s * 1000)
    return [
        FacesLatency(faces, len(values), float(np.median(values)), float(np.percentile(values, 95)))
        for faces, values in sorted(durations.items())
    ]


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return round(value, 5) if isinstance(value, float) else value
