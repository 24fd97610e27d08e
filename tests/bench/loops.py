"""The loops that `make bench` compares; each is given the same frames, the same network, the same alignment."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from native import native_time

from edge_runtime.analysis import RoomAnalysis
from edge_runtime.bundle import Bundle
from edge_runtime.config import Config
from edge_runtime.faces.alignment import align
from edge_runtime.faces.detection import CASCADES, intersection_over_union
from edge_runtime.faces.finder import Faces
from edge_runtime.faces.pupils import PupilFinder
from edge_runtime.faces.view import FrameView
from edge_runtime.frames.film import Film
from edge_runtime.frames.frame import EndOfSource, Frame
from edge_runtime.inference.classifier import softmax
from edge_runtime.inference.engine import Engine

SAME_FACE = 0.3  # intersection over union


@dataclass
class Score:
    """Hits and false boxes against the clip's truth, which may be unknown."""

    truth: list[list[list[float]]] | None
    faces: int = 0
    hits: int = 0
    false: int = 0
    frames: int = 0
    boxes: int = 0

    def add(self, index: int, boxes_xyxy: np.ndarray) -> None:
        """Compares one frame's boxes."""
        self.frames += 1
        self.boxes += len(boxes_xyxy)
        if self.truth is None:
            return
        truth = np.array(self.truth[index], np.float32).reshape(-1, 4)
        truth[:, 2:] += truth[:, :2]
        overlap = intersection_over_union(truth, boxes_xyxy.astype(np.float32).reshape(-1, 4))
        self.faces += len(truth)
        if overlap.size:
            self.hits += int((overlap.max(axis=1) >= SAME_FACE).sum())
            self.false += int((overlap.max(axis=0) < SAME_FACE).sum())

    @property
    def recall(self) -> float | None:
        """Share of the true faces that were found; None where the truth is not known."""
        return self.hits / self.faces if self.faces else None


@dataclass
class Decisions:
    """Which class each loop gives a track in each window; a plain loop's faces go to the track that they overlap.

    The class of a window is the largest mean probability: of the plain loop over its frames, of ours over its own
    classifications, before they are smoothed, since the plain loop's are not.
    """

    window_s: float
    tracks: dict[int, tuple[float, np.ndarray, np.ndarray]] = field(
        default_factory=dict
    )  # frame → t, ids, boxes
    ours: defaultdict[tuple[int, int], list[np.ndarray]] = field(default_factory=lambda: defaultdict(list))
    plain: defaultdict[tuple[int, int], list[np.ndarray]] = field(default_factory=lambda: defaultdict(list))

    def add_ours(self, timestamp_s: float, track_ids: np.ndarray, probabilities: np.ndarray) -> None:
        """Of one moment."""
        for track, row in zip(track_ids, probabilities, strict=True):
            self.ours[int(track), int(timestamp_s // self.window_s)].append(row)

    def add_plain(self, index: int, boxes_xyxy: np.ndarray, probabilities: np.ndarray) -> None:
        """Of one frame that our loop has seen before."""
        timestamp_s, ids, boxes = self.tracks[index]
        if not len(ids) or not len(boxes_xyxy):
            return
        overlap = intersection_over_union(boxes_xyxy, boxes)
        for row, best in enumerate(overlap.argmax(axis=1)):
            if overlap[row, best] >= SAME_FACE:
                key = int(ids[best]), int(timestamp_s // self.window_s)
                self.plain[key].append(probabilities[row])

    def agreement(self) -> tuple[int, int]:
        """How many decisions are equal, of how many that both made."""
        return _equal([(self.ours[key], self.plain[key]) for key in self.ours if key in self.plain])

    def plain_with_itself(self) -> tuple[int, int]:
        """The same of the plain loop's even frames and its odd ones: what so few frames can tell at best."""
        return _equal([(made[::2], made[1::2]) for made in self.plain.values() if len(made) > 1])


def _equal(pairs: list[tuple[list[np.ndarray], list[np.ndarray]]]) -> tuple[int, int]:
    same = [np.mean(one, axis=0).argmax() == np.mean(other, axis=0).argmax() for one, other in pairs]
    return int(sum(same)), len(same)


@dataclass(frozen=True)
class Cost:
    """Of one frame, s: by the clock on the wall, and of all processors."""

    wall_s: float
    cpu_s: float


def plain_loop(
    frames: list[tuple[int, Frame]],
    engine: Engine,
    bundle: Bundle,
    *,
    is_batched: bool,
    score: Score,
    told: Callable[[int, np.ndarray, np.ndarray], None],
) -> Cost:
    """OpenCV's cascade on each frame; the faces one at a time, or a frame's in one batch. Decoding is not counted."""
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    pupils, template = PupilFinder(), bundle.manifest.alignment.template()
    made = []
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    for index, frame in frames:
        grey = cv2.cvtColor(frame.image_bgr, cv2.COLOR_BGR2GRAY)
        hits = cascade.detectMultiScale(grey, 1.1, 3, minSize=(40, 40))
        boxes = np.array([[x, y, x + w, y + h] for x, y, w, h in hits], np.float32).reshape(-1, 4)
        logits = np.empty((0, len(bundle.manifest.labels)), np.float32)
        if len(boxes):
            eyes, _ = pupils.find(grey, boxes)
            crops = align(grey, eyes, template)
            if is_batched:
                logits = engine.logits(crops)
            else:
                logits = np.concatenate([engine.logits(crop[None]) for crop in crops])
        made.append((index, boxes, logits))
    cost = Cost((time.perf_counter() - wall_s) / len(frames), (time.process_time() - cpu_s) / len(frames))
    for index, boxes, logits in made:
        score.add(index, boxes)
        if len(boxes):
            told(index, boxes, softmax(logits, bundle.manifest.temperature))
    return cost


def our_loop(
    clip: Path, config: Config, engine: Engine, bundle: Bundle, *, score: Score, decisions: Decisions | None
) -> tuple[Cost, list[int]]:
    """The runtime's loop over the whole clip, decoding counted; also how many faces were classified at each moment."""
    sizes: list[int] = []
    with Film(clip, grey=True) as film, RoomAnalysis(config, bundle.manifest, engine) as analysis:
        find, smooth = analysis.finder.find, analysis._smoother.smooth
        index = 0

        def find_and_note(view: FrameView) -> Faces:
            faces = find(view)
            score.add(index, faces.boxes_xyxy)
            if decisions is not None:
                decisions.tracks[index] = view.timestamp_s, faces.track_ids, faces.boxes_xyxy
            return faces

        def note_and_smooth(
            timestamp_s: float, track_ids: np.ndarray, probabilities: np.ndarray
        ) -> np.ndarray:
            sizes.append(len(track_ids))
            if decisions is not None:
                decisions.add_ours(timestamp_s, track_ids, probabilities)
            return smooth(timestamp_s, track_ids, probabilities)

        analysis.finder.find = find_and_note  # type: ignore[method-assign]
        analysis._smoother.smooth = note_and_smooth  # type: ignore[method-assign]
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        for frame in all_frames(film):
            analysis.process(frame)
            index += 1
        return Cost((time.perf_counter() - wall_s) / index, (time.process_time() - cpu_s) / index), sizes


def python_share(clip: Path, config: Config, engine: Engine, bundle: Bundle) -> float:
    """Processor time of the loop's thread outside of OpenCV and the engine, of that of the whole process."""
    with (
        native_time(engine, CASCADES[config.faces.cascade]) as native,
        Film(clip, grey=True) as film,
        RoomAnalysis(config, bundle.manifest, engine) as analysis,
    ):
        cpu_s, own_s = time.process_time(), time.thread_time()
        for frame in all_frames(film):
            analysis.process(frame)
        own_s = time.thread_time() - own_s - native.seconds
        return own_s / (time.process_time() - cpu_s)


def latencies_s(clip: Path, config: Config, engine: Engine, bundle: Bundle) -> list[float]:
    """From the moment of a frame, at the film's own pace, until its faces' probabilities are in the room's window."""
    waits: list[float] = []
    with (
        Film(clip, grey=True, realtime=True) as film,
        RoomAnalysis(config, bundle.manifest, engine) as analysis,
    ):
        analysis.finder.waits_for_scans = False  # as with a camera
        began_s, classified = time.monotonic(), 0
        for frame in all_frames(film):
            analysis.process(frame)
            if analysis.counters.classified > classified:
                classified = analysis.counters.classified
                waits.append(time.monotonic() - began_s - frame.timestamp_s)
    return waits


def all_frames(film: Film) -> Iterator[Frame]:
    """To the film's end."""
    while True:
        try:
            frame = film.read(60.0)
        except EndOfSource:
            return
        if frame is not None:
            yield frame
