"""The series of measurements behind `roomtone profile device`: the same on every board, at most two minutes on most.

Faces are the simulated classroom's, so nothing is needed but roomtone itself. All is processor time with one thread of
OpenCV and one of the engine, which other programs on the board disturb least; scans and calls of the network are timed
with all cores, too, by the clock on the wall.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import count
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from edge_runtime import __version__
from edge_runtime.board import Board, read_board
from edge_runtime.bundle import Bundle
from edge_runtime.capacity.model import WIDTH_PER_HEIGHT, Demand, load
from edge_runtime.capacity.perf import (
    Beat,
    Check,
    DecodeCost,
    InferenceCost,
    MeasuredBoard,
    MeasuredBundle,
    Perf,
    ScanCost,
    StageCost,
)
from edge_runtime.capacity.publishing import measure_publishing
from edge_runtime.capacity.work import REST, Work, work
from edge_runtime.config import CameraSection, Config, trial_config
from edge_runtime.errors import BundleInaccurateError, EngineError, MissingExtraError, RoomtoneError
from edge_runtime.faces.detection import make_detector
from edge_runtime.faces.view import FrameView
from edge_runtime.frames.frame import EndOfSource, Frame
from edge_runtime.frames.opening import open_source
from edge_runtime.frames.simulation.classroom import SimulatedClassroom
from edge_runtime.inference.cpu import instruction_set
from edge_runtime.inference.engine import Engine
from edge_runtime.inference.moment import one_moment, repeated
from edge_runtime.inference.opening import open_engine
from edge_runtime.inference.reading import LANDMARKS_STAGE
from edge_runtime.inference.speed import measure_speed

HEIGHTS: Final = (360, 720, 1080, 2160)
SCAN_WIDTHS: Final = (480, 640, 960, 1280, 1920)
BATCHES: Final = (1, 8)
_FPS: Final = 25.0
_SECONDS: Final = 4.0  # of lesson, for each measurement of the loop
_STUDENTS: Final = (1, 24)
_CALLS: Final = 7
_ENGINE_ROUNDS: Final = 15
_DECODED_FRAMES: Final = 15
_BEATS: Final[dict[str, Beat]] = {
    "follow": "follow",
    "prepare": "scan",
    "confirm": "scan",
    "align": "classify",
    LANDMARKS_STAGE: "classify",
    "smooth": "classify",
    "pupils": "look",
    "window": "frame",
    "frame": "frame",
    REST: "frame",
}
_PACKAGES: Final = ("numpy", "opencv-python-headless", "onnxruntime", "openvino")
# Configurations that nothing is fitted to: height, students, scans, classifications a second.
_CHECKS: Final = ((1080, 12, 2.0, 2.0), (720, 24, 1.0, 4.0), (1080, 30, 4.0, 1.0), (1440, 20, 2.0, 2.0))

Progress = Callable[[str, int, int], None]


def measure_device(
    bundle: Bundle,
    *,
    name: str,
    config: Config | None = None,
    on_step: Progress = lambda what, done, total: None,
) -> Perf:
    """Measures this board.

    Args:
        bundle: opened; its golden outputs are checked for every variant that is timed.
        name: of the kind of board, `[a-z0-9-]`.
        config: whose `[mqtt]` is published to; None, or without a url: only the disk's part is measured.
        on_step: called with what comes next, how many steps are done, and how many there are.

    Raises:
        BundleInaccurateError, EngineError: no variant of the bundle is right on this board.
        BrokerError: the named broker does not answer.
    """
    settings = trial_config()
    total = 5 + len(HEIGHTS) + len(_CHECKS)
    steps = count()
    on_step("engines", next(steps), total)
    choice = open_engine(bundle, settings.inference)
    inference = _inference(bundle)
    on_step("decoding", next(steps), total)
    decode = [_decode(height) for height in HEIGHTS]
    on_step("scans", next(steps), total)
    scan = [_scan(width, threads) for width in SCAN_WIDTHS for threads in sorted({1, _cores()})]
    stages: list[StageCost] = []
    for height in HEIGHTS:
        on_step(f"the loop at {height}p", next(steps), total)
        few, many = (_simulated(settings, bundle, choice.engine, height, count) for count in _STUDENTS)
        stages += _stages(height, few, many)
    on_step("memory", next(steps), total)
    process_mb = _process_mb(bundle)
    on_step("publishing", next(steps), total)
    publish = measure_publishing(settings if config is None else config, bundle)
    perf = Perf(
        name=name,
        measured_on=datetime.now(UTC).date().isoformat(),
        roomtone=__version__,
        board=_board(read_board()),
        bundle=_bundle(bundle),
        versions=_versions(),
        engine=f"{choice.variant.backend} {choice.variant.precision}",
        decode=decode,
        scan=scan,
        stages=stages,
        inference=inference,
        publish=publish,
        process_mb=process_mb,
        checks=[],
    )
    checks = []
    for height, students, scans_hz, classify_hz in _CHECKS:
        on_step(f"a check: {students} faces at {height}p", next(steps), total)
        changed = settings.model_copy(
            update={
                "faces": settings.faces.model_copy(update={"scan_rate_hz": scans_hz}),
                "inference": settings.inference.model_copy(update={"classify_rate_hz": classify_hz}),
            }
        )
        done = _simulated(changed, bundle, choice.engine, height, students)
        checks.append(check(perf, changed, done, source="simulated classroom", height_px=height, fps=_FPS))
    return perf.model_copy(update={"checks": checks})


def check(
    perf: Perf,
    config: Config,
    done: Work,
    *,
    source: str,
    height_px: int,
    fps: float,
    with_decoding: bool = False,
) -> Check:
    """A run against what the costs foretell of it."""
    demand = Demand(
        faces=done.faces,
        readable=done.readable,
        height_px=height_px,
        fps=fps,
        scan_rate_hz=config.faces.scan_rate_hz,
        follow_rate_hz=config.faces.follow_rate_hz,
        classify_rate_hz=done.classify_hz,
        scan_width_px=config.faces.scan_width_px,
        max_batch=config.inference.max_batch,
        with_decoding=with_decoding,
    )
    return Check(
        source=source,
        height_px=height_px,
        fps=fps,
        faces=round(done.faces, 2),
        readable=round(done.readable, 2),
        scan_rate_hz=demand.scan_rate_hz,
        follow_rate_hz=demand.follow_rate_hz,
        classify_rate_hz=demand.classify_rate_hz,
        scan_width_px=demand.scan_width_px,
        with_decoding=with_decoding,
        measured_cores=round(done.cores, 4),
        predicted_cores=round(load(perf, demand).cores, 4),
    )


def _simulated(config: Config, bundle: Bundle, engine: Engine, height_px: int, students: int) -> Work:
    return work(config, bundle, engine, _frames(height_px, students, round(_SECONDS * _FPS)), _FPS)


def _frames(height_px: int, students: int, number: int) -> Iterator[Frame]:
    """Grey, as films and network cameras give them."""
    width = round(height_px * WIDTH_PER_HEIGHT)
    with SimulatedClassroom(students=students, seed=7, width=width, height=height_px, fps=_FPS) as room:
        for _ in range(number):
            frame = room.read()
            if frame is not None:
                yield Frame(frame.image_grey, frame.timestamp_s)


def _stages(height_px: int, few: Work, many: Work) -> list[StageCost]:
    """A line through two runs, stage by stage. What readable faces cost does not depend on the frame's height."""
    costs = []
    for stage, beat in _BEATS.items():
        is_of_readable = beat in ("classify", "look")
        if is_of_readable and height_px != 1080:
            continue
        if stage == LANDMARKS_STAGE and stage not in many.stages_s:
            continue  # a bundle that wants none
        (few_faces, few_ms), (many_faces, many_ms) = (
            (done.readable if is_of_readable else done.faces, _per_beat_ms(done, stage, beat))
            for done in (few, many)
        )
        spread = many_faces - few_faces
        face_ms = max(0.0, (many_ms - few_ms) / spread) if spread > 1 else 0.0
        base_ms = max(0.0, few_ms - face_ms * few_faces)
        costs.append(
            StageCost(
                stage=stage,
                beat=beat,
                height_px=height_px,
                base_ms=round(base_ms, 4),
                face_ms=round(face_ms, 4),
            )
        )
    return costs


def _per_beat_ms(done: Work, stage: str, beat: Beat) -> float:
    follows = min(done.frames, done.seconds * trial_config().faces.follow_rate_hz)
    times = {
        "frame": done.frames,
        "follow": follows,
        "scan": done.scans,
        "classify": done.classifications,
        "look": done.seconds,
    }
    return done.stages_s.get(stage, 0.0) / times[beat] * 1000


def _decode(height_px: int) -> DecodeCost:
    """Motion JPEG, as USB cameras give it."""
    width = round(height_px * WIDTH_PER_HEIGHT)
    with tempfile.TemporaryDirectory(prefix="roomtone-perf-") as folder:
        path = Path(folder, "frames.avi")
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), _FPS, (width, height_px))
        with SimulatedClassroom(students=24, seed=7, width=width, height=height_px, fps=_FPS) as room:
            for _ in range(_DECODED_FRAMES):
                if (frame := room.read()) is not None:
                    writer.write(frame.image_bgr)
        writer.release()
        if not path.exists() or not path.stat().st_size:
            raise RoomtoneError(
                f"a short film cannot be written to {folder}", hint="is the disk of temporary files full?"
            )
        with open_source(CameraSection(source=str(path)), grey=True) as source:
            source.read(10.0)  # opening is over
            before_s, decoded = time.process_time(), 0
            while True:
                try:
                    decoded += source.read(10.0) is not None
                except EndOfSource:
                    break
            took_s = time.process_time() - before_s
    return DecodeCost(codec="MJPG", height_px=height_px, cpu_ms=round(took_s / max(1, decoded) * 1000, 3))


def _scan(width_px: int, threads: int) -> ScanCost:
    (few, _), (many, wall_ms) = (_scan_ms(width_px, threads, students) for students in _STUDENTS)
    face_ms = max(0.0, (many - few) / (_STUDENTS[1] - _STUDENTS[0]))
    base_ms = max(0.0, few - _STUDENTS[0] * face_ms)
    return ScanCost(
        width_px=width_px,
        threads=threads,
        base_ms=round(base_ms, 3),
        face_ms=round(face_ms, 4),
        wall_ms=round(wall_ms, 3),
    )


def _scan_ms(width_px: int, threads: int, students: int) -> tuple[float, float]:
    """Processor time and time by the clock, medians."""
    settings = trial_config().faces.model_copy(update={"scan_width_px": width_px})
    detector = make_detector(settings)
    before = cv2.getNumThreads()
    cv2.setNumThreads(threads)
    cpu_ms, wall_ms = [], []
    try:
        for frame in _frames(1080, students, _CALLS):
            view = FrameView(frame)
            detector.prepare(view)
            cpu_s, wall_s = time.process_time(), time.perf_counter()
            detector.detect(view)
            cpu_ms.append((time.process_time() - cpu_s) * 1000)
            wall_ms.append((time.perf_counter() - wall_s) * 1000)
    finally:
        cv2.setNumThreads(before)
    return float(np.median(cpu_ms)), float(np.median(wall_ms))


def _inference(bundle: Bundle) -> list[InferenceCost]:
    """Every variant that is installed and right here, with one thread by processor time and with all by the clock."""
    rows = []
    for variant in bundle.manifest.variants:
        for threads in sorted({1, _cores()}):
            settings = trial_config().inference.model_copy(
                update={"backend": variant.backend, "precision": variant.precision, "threads": threads}
            )
            try:
                engine = open_engine(bundle, settings).engine
            except (MissingExtraError, EngineError, BundleInaccurateError):
                continue  # `roomtone bundle verify` says why
            cpu_s = {batch: _engine_cpu_ms(engine, bundle, batch) for batch in BATCHES}
            golden = bundle.golden
            timings = measure_speed(
                {"it": engine}, golden.crops, given=golden.given, batches=BATCHES, rounds=_ENGINE_ROUNDS
            )
            rows += [
                InferenceCost(
                    backend=variant.backend,
                    precision=variant.precision,
                    threads=threads,
                    batch=batch,
                    cpu_ms=round(cpu_s[batch], 3),
                    wall_ms=round(timings["it", batch].median_ms, 3),
                )
                for batch in BATCHES
            ]
    return rows


def _engine_cpu_ms(engine: Engine, bundle: Bundle, batch: int) -> float:
    moment = one_moment(engine, *repeated(bundle.golden, batch))
    times = []
    for number in range(2 + _ENGINE_ROUNDS):
        before_s = time.process_time()
        moment()
        if number >= 2:
            times.append(time.process_time() - before_s)
    return float(np.median(times)) * 1000


def _process_mb(bundle: Bundle) -> float:
    """Resident memory of an agent with one 1080p camera at work, in a process of its own."""
    room = f"simulated://students=24,seed=7,width=1920,height=1080,fps=12.5,seconds={_SECONDS:g}"
    command = [sys.executable, "-m", "edge_runtime", "profile", "--source", room]
    done = subprocess.run(
        [*command, "--bundle", str(bundle.folder), "--json"], capture_output=True, check=False, timeout=300
    )
    if done.returncode:
        raise RoomtoneError(
            f"roomtone profile ended with {done.returncode}: {done.stderr.decode(errors='replace').strip()[-200:]}",
            hint="run it by hand: roomtone profile --seconds 5",
        )
    return float(json.loads(done.stdout)["memory"]["rss_max_mb"])


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _board(board: Board) -> MeasuredBoard:
    return MeasuredBoard(
        model=board.model,
        cpu=board.cpu,
        architecture=board.architecture,
        cores=_cores(),
        memory_mb=board.memory_mb,
        instruction_set=instruction_set(),
    )


def _bundle(bundle: Bundle) -> MeasuredBundle:
    manifest = bundle.manifest
    return MeasuredBundle(
        name=manifest.name,
        version=manifest.version,
        digest=bundle.digest,
        stride_s=None if manifest.sequence is None else manifest.sequence.stride_s,
    )


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
