"""`make bench`: our loop against the plain loop that one writes in an afternoon, in one run, interleaved.

The plain loop scans each frame with OpenCV's default cascade and classifies one face at a time with ONNX Runtime; it is
given the same network, the same alignment and the same frames. Both must find the faces: recall at IoU 0.3 and
false boxes per frame stand beside the times. Only ratios of one run mean something: machines are shared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import cv2
import numpy as np

from edge_runtime.analysis import RoomAnalysis
from edge_runtime.bundle import Bundle, default_bundle_path, open_bundle
from edge_runtime.config import Config, InferenceSection, trial_config
from edge_runtime.faces.alignment import align
from edge_runtime.faces.detection import intersection_over_union
from edge_runtime.faces.finder import Faces
from edge_runtime.faces.pupils import PupilFinder
from edge_runtime.faces.view import FrameView
from edge_runtime.frames.film import Film
from edge_runtime.frames.frame import EndOfSource, Frame
from edge_runtime.inference.engine import Engine
from edge_runtime.inference.opening import open_engine

ROUNDS = 3
PLAIN_FRAMES = 12  # of each round: the plain loop takes its time


class Score:
    """Counts hits, misses and false boxes against the clip's truth."""

    def __init__(self, truth: list[list[list[float]]]) -> None:
        self._truth = truth
        self.faces = self.hits = self.false = self.frames = 0

    def add(self, index: int, boxes_xyxy: np.ndarray) -> None:
        """Compares one frame's boxes."""
        truth = np.array(self._truth[index], np.float32)
        truth[:, 2:] += truth[:, :2]
        overlap = intersection_over_union(truth, boxes_xyxy.astype(np.float32).reshape(-1, 4))
        self.frames += 1
        self.faces += len(truth)
        if overlap.size:
            self.hits += int((overlap.max(axis=1) >= 0.3).sum())
            self.false += int((overlap.max(axis=0) < 0.3).sum())

    def __str__(self) -> str:
        return f"recall {self.hits / self.faces:.3f}, {self.false / self.frames:.2f} false boxes a frame"


def plain_loop(frames: list[tuple[int, Frame]], engine: Engine, bundle: Bundle, score: Score) -> float:
    """Seconds a frame of the plain loop."""
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    pupils = PupilFinder()
    template = bundle.manifest.alignment.template()
    begun = time.perf_counter()
    for index, frame in frames:
        grey = cv2.cvtColor(frame.image_bgr, cv2.COLOR_BGR2GRAY)
        hits = cascade.detectMultiScale(grey, 1.1, 3, minSize=(40, 40))
        boxes = np.array([[x, y, x + w, y + h] for x, y, w, h in hits], np.float32).reshape(-1, 4)
        for box in boxes:
            eyes, _ = pupils.find(grey, box[None])
            engine.logits(align(grey, eyes, template))
        score.add(index, boxes)
    return (time.perf_counter() - begun) / len(frames)


def our_loop(
    clip: Path, config: Config, engine: Engine, bundle: Bundle, score: Score
) -> tuple[float, RoomAnalysis]:
    """Seconds a frame of the runtime's loop, decoding included, and the analysis with its spans."""
    with Film(clip) as film, RoomAnalysis(config, bundle.manifest, engine) as analysis:
        find = analysis.finder.find
        index = 0

        def find_and_score(view: FrameView) -> Faces:
            faces = find(view)
            score.add(index, faces.boxes_xyxy)
            return faces

        analysis.finder.find = find_and_score  # type: ignore[method-assign]
        begun = time.perf_counter()
        while True:
            try:
                frame = film.read(10.0)
            except EndOfSource:
                break
            if frame is None:
                continue
            analysis.process(frame)
            index += 1
        return (time.perf_counter() - begun) / index, analysis


def main() -> int:
    """Runs the comparison and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    shared = Path(__file__).resolve().parents[3] / "shared" / "data"
    parser.add_argument("--clip", type=Path, default=shared / "videos" / "mosaic_1080p.mp4")
    parser.add_argument("--bundle", type=Path, default=default_bundle_path())
    arguments = parser.parse_args()
    if not arguments.clip.exists():
        print(
            f"no clip at {arguments.clip}; give one with --clip (its truth beside it, .json)", file=sys.stderr
        )
        return 1
    cv2.setNumThreads(trial_config().faces.scan_threads)  # the same for both
    truth = json.loads(arguments.clip.with_suffix(".json").read_text())["boxes_xywh"]
    bundle = open_bundle(arguments.bundle)
    engine = open_engine(bundle, InferenceSection()).engine
    with Film(arguments.clip) as film:
        frames = [(index, film.read(10.0)) for index in range(PLAIN_FRAMES * ROUNDS)]
    plain_score, our_score = Score(truth), Score(truth)
    plain, ours = [], []
    for turn in range(ROUNDS):
        part = [(i, frame) for i, frame in frames[turn::ROUNDS] if frame is not None]
        plain.append(plain_loop(part, engine, bundle, plain_score))
        seconds, analysis = our_loop(arguments.clip, trial_config(), engine, bundle, our_score)
        ours.append(seconds)
    ratios = [p / o for p, o in zip(plain, ours, strict=True)]
    print(f"{'':24}{'ms a frame':>12}{'frames/s':>10}")
    for name, seconds, score in (("plain loop", plain, plain_score), ("roomtone's loop", ours, our_score)):
        middle = statistics.median(seconds)
        print(f"{name:24}{middle * 1000:12.1f}{1 / middle:10.1f}   {score}")
    print(
        f"ratio {statistics.median(ratios):.1f} (of {ROUNDS} rounds: {min(ratios):.1f} to {max(ratios):.1f})"
    )
    print("\nstages of the last round, ms       p50      p95      p99")
    for stage, times in sorted(analysis.spans.percentiles().items()):
        print(f"  {stage:28}{times.p50_ms:9.2f}{times.p95_ms:9.2f}{times.p99_ms:9.2f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
