"""The real analysis over given frames, and the processor time of each of its stages.

Frames are made or decoded by the caller's iterator; what that takes in this thread is not counted, so that drawn frames
cost nothing. OpenCV has one thread meanwhile, since a span counts its own thread only.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import cv2

from edge_runtime.analysis import RoomAnalysis
from edge_runtime.bundle import Bundle
from edge_runtime.config import Config
from edge_runtime.frames.frame import Frame
from edge_runtime.inference.engine import Engine
from edge_runtime.inference.landmark_engine import landmarks_for
from edge_runtime.profiling.recording import Recording, own_times
from edge_runtime.profiling.spans import Spans

REST: Final = "rest"  # processor time outside of all spans


@dataclass(frozen=True, slots=True)
class Work:
    """What a run over some frames took.

    Attributes:
        seconds: of video.
        frames, scans, classifications: how many there were.
        faces: mean of a frame.
        readable: mean of a classification, those of a sequence that still warm up included.
        classify_hz: in force, which is not the configured rate where the bundle has a stride.
        cpu_s: processor time of all threads.
        stages_s: stage → its own processor time, without its parts; `rest` is what no span counts.
    """

    seconds: float
    frames: int
    scans: int
    classifications: int
    faces: float
    readable: float
    classify_hz: float
    cpu_s: float
    stages_s: Mapping[str, float]

    @property
    def cores(self) -> float:
        """Processor time for each second of video."""
        return self.cpu_s / self.seconds


def work(config: Config, bundle: Bundle, engine: Engine, frames: Iterable[Frame], fps: float) -> Work:
    """Analyses all frames, as fast as they come.

    Args:
        config: checked.
        bundle: that the engine runs.
        engine: ready.
        frames: of one camera, in order; at least one.
        fps: of these frames.

    Raises:
        EngineError: the engine failed, or the bundle wants landmarks and there is no network for them.
    """
    recording = Recording()
    threads_before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with RoomAnalysis(
            config, bundle.manifest, engine, spans=Spans(recording), landmarks=landmarks_for(bundle)
        ) as analysis:
            given = iter(frames)
            making_s, cpu_before_s = 0.0, time.process_time()
            while True:
                before_s = time.thread_time()
                frame = next(given, None)
                making_s += time.thread_time() - before_s
                if frame is None:
                    break
                analysis.process(frame)
            analysis.end()  # a scan under way is waited for
            cpu_s = time.process_time() - cpu_before_s - making_s
            counters, scans = analysis.counters, analysis.finder.counters.scans
            classify_hz = analysis.classify_hz
    finally:
        cv2.setNumThreads(threads_before)
    classifications = len(recording.gauges("batch"))
    stages_s = _own_processor_time(recording)
    stages_s[REST] = max(0.0, cpu_s - sum(stages_s.values()))
    return Work(
        seconds=counters.frames / fps,
        frames=counters.frames,
        scans=max(1, scans),
        classifications=max(1, classifications),
        faces=counters.faces / max(1, counters.frames),
        readable=(counters.classified + counters.warming_up) / max(1, classifications),
        classify_hz=classify_hz,
        cpu_s=cpu_s,
        stages_s=stages_s,
    )


def _own_processor_time(recording: Recording) -> defaultdict[str, float]:
    by_thread = defaultdict(list)
    for span in recording.spans():
        by_thread[span.thread].append(span)
    sums: defaultdict[str, float] = defaultdict(float)
    for spans in by_thread.values():
        for span, (_, cpu_s) in zip(spans, own_times(spans), strict=True):
            sums[span.stage] += max(0.0, cpu_s)
    return sums
