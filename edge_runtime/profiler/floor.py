"""The floor: what cannot be avoided with this detector and this network, called bare.

The frames are decoded, the detector scans at the configured rate in a thread beside, and the network runs on batches as
large as the loop's were, at its rate. No face is followed, aligned, smoothed or counted. So the floor falls when the
detector or the network gets better; the loop's share of it says what the loop itself costs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

from edge_runtime.bundle import Bundle
from edge_runtime.config import Config
from edge_runtime.faces.detection import Detections, make_detector
from edge_runtime.faces.view import FrameView
from edge_runtime.frames.frame import EndOfSource
from edge_runtime.frames.opening import open_source
from edge_runtime.inference.engine import Engine
from edge_runtime.inference.moment import one_moment, repeated
from edge_runtime.inference.opening import open_engine
from edge_runtime.pacing import Beat


@dataclass(frozen=True, slots=True)
class Floor:
    """What the bare calls took.

    Attributes:
        frames: decoded.
        scans, batches: detector calls, and network calls with all faces of a moment.
        wall_ms_per_frame, cpu_ms_per_frame: of all threads together.
    """

    frames: int
    scans: int
    batches: int
    wall_ms_per_frame: float
    cpu_ms_per_frame: float


def measure_floor(
    config: Config,
    bundle: Bundle,
    batch_sizes: Sequence[int],
    *,
    most_frames: int,
    engine: Engine | None = None,
    told_to_stop: Callable[[], bool] = lambda: False,
) -> Floor:
    """Runs the bare calls over the same source.

    Args:
        config: as the loop's.
        bundle: as the loop's.
        batch_sizes: how many faces the loop classified at each moment, in order; used again and again.
        most_frames: end after so many.
        engine: already open; opened here when None.
        told_to_stop: asked before each frame.

    Raises:
        SourceError: the source cannot be opened a second time, or gives no frame.
    """
    engine = engine or open_engine(bundle, config.inference).engine
    detector = make_detector(config.faces)

    @cache
    def moment(faces: int) -> Callable[[], object]:
        return one_moment(engine, *repeated(bundle.golden, faces))

    scan_beat, classify_beat = (
        Beat(1 / config.faces.scan_rate_hz),
        Beat(1 / config.inference.classify_rate_hz),
    )
    frames = scans = batches = 0
    scan: Future[Detections] | None = None
    most = config.inference.max_batch
    with (
        open_source(config.camera, grey=not config.faces.needs_colour) as source,
        ThreadPoolExecutor(1, "floor scan") as pool,
    ):
        began_s, cpu_began_s = time.perf_counter(), time.process_time()
        while frames < most_frames and not told_to_stop():
            try:
                frame = source.read()
            except EndOfSource:
                break
            if frame is None:
                if not source.online:
                    break
                continue
            frames += 1
            if scan_beat.strikes(frame.timestamp_s):
                if scan is not None:
                    scan.result()
                view = FrameView(frame)
                detector.prepare(view)
                scan = pool.submit(detector.detect, view)
                scans += 1
            if batch_sizes and classify_beat.strikes(frame.timestamp_s):
                size = batch_sizes[batches % len(batch_sizes)]
                batches += 1
                for start in range(0, size, most):
                    moment(min(most, size - start))()
        if scan is not None:
            scan.result()
        wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_began_s
    each = 1000 / max(frames, 1)
    return Floor(frames, scans, batches, wall_s * each, cpu_s * each)
