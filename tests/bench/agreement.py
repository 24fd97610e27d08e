"""`make bench-agreement`: why our loop and the plain loop do not always name the same class; one cause at a time.

    INT8      the plain loop's crops, read by the other precision
    rate      the plain loop at our moments only, against all its frames
    boxes     our boxes with pupils looked for at each moment, against the plain loop at those moments
    pupils    our remembered pupils against those looked for at each moment

Classes are those of the largest mean probability of a track in a window, before smoothing. In brackets stands Wilson's
95 % interval; moments of one face are no independent draws, so the true one is wider. "Apart" is half the sum of
the differences of the mean probabilities.

Where they differ, neither is right by itself. So a third detector's eyes (YuNet's) cut the same faces at the same
moments, and both are compared with that.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from loop import CLIPS, SHARED, frames_of
from loops import SAME_FACE, all_frames

from edge_runtime.analysis import RoomAnalysis
from edge_runtime.bundle import Bundle, default_bundle_path, open_bundle
from edge_runtime.config import InferenceSection, trial_config
from edge_runtime.faces.alignment import align
from edge_runtime.faces.detection import intersection_over_union
from edge_runtime.faces.pupils import PupilFinder
from edge_runtime.faces.view import FrameView
from edge_runtime.frames.film import Film
from edge_runtime.inference.classifier import Classifier
from edge_runtime.inference.opening import open_engine

WINDOWS_S = (5.0, 1.0)
MODEL = SHARED.parent / "models" / "yunet_n_320_320.onnx"


@dataclass(frozen=True)
class Moment:
    """The faces of a frame as one of the loops cuts them; ids are those of our tracks."""

    timestamp_s: float
    track_ids: np.ndarray
    boxes_xyxy: np.ndarray
    pupils_xy: np.ndarray
    crops: np.ndarray


Decisions = dict[tuple[int, int], np.ndarray]  # track and window → mean probabilities


def our_moments(clip: Path, bundle: Bundle) -> tuple[list[Moment], list[np.ndarray], list[tuple]]:
    """What our loop classifies, the whole frames of those moments, and all tracks of each frame of the film."""
    moments: list[Moment] = []
    images: list[np.ndarray] = []
    tracks: list[tuple] = []
    engine = open_engine(bundle, InferenceSection()).engine
    with Film(clip, grey=True) as film, RoomAnalysis(trial_config(), bundle.manifest, engine) as analysis:
        maker = analysis._crops
        find, make, locate = analysis.finder.find, maker.make, maker._locate
        pupils: list[np.ndarray] = []

        def note_tracks(view: FrameView):
            faces = find(view)
            tracks.append((view.timestamp_s, faces.track_ids, faces.boxes_xyxy))
            return faces

        def note_pupils(*arguments):
            located = locate(*arguments)
            pupils.append(located[0])
            return located

        def note_crops(view: FrameView, faces):
            crops = make(view, faces)
            boxes = faces.boxes_xyxy[maker.readable(faces)]
            moments.append(Moment(view.timestamp_s, crops.track_ids, boxes, pupils[-1], crops.images))
            images.append(view.grey)
            return crops

        analysis.finder.find = note_tracks  # type: ignore[method-assign]
        maker._locate, maker.make = note_pupils, note_crops  # type: ignore[method-assign]
        for frame in all_frames(film):
            analysis.process(frame)
    return moments, images, tracks


def plain_moments(clip: Path, count: int, bundle: Bundle, tracks: list[tuple]) -> list[Moment]:
    """What the plain loop finds in so many frames, of faces that we track."""
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    finder, template = PupilFinder(), bundle.manifest.alignment.template()
    moments = []
    for index, frame in frames_of(clip, count):
        grey = frame.image_grey
        hits = cascade.detectMultiScale(grey, 1.1, 3, minSize=(40, 40))
        boxes = np.array([[x, y, x + w, y + h] for x, y, w, h in hits], np.float32).reshape(-1, 4)
        timestamp_s, ids, ours = tracks[index]
        overlap = intersection_over_union(boxes, ours)
        if not overlap.size:
            continue
        same = overlap.max(axis=1) >= SAME_FACE
        boxes, best = boxes[same], overlap.argmax(axis=1)[same]
        pupils, _ = finder.find(grey, boxes)
        moments.append(Moment(timestamp_s, ids[best], boxes, pupils, align(grey, pupils, template)))
    return moments


def cut_anew(moments: list[Moment], images: list[np.ndarray], bundle: Bundle) -> list[Moment]:
    """The same boxes, with pupils looked for at each moment."""
    finder, template = PupilFinder(), bundle.manifest.alignment.template()
    anew = []
    for moment, image in zip(moments, images, strict=True):
        pupils, _ = finder.find(image, moment.boxes_xyxy)
        crops = align(image, pupils, template)
        anew.append(Moment(moment.timestamp_s, moment.track_ids, moment.boxes_xyxy, pupils, crops))
    return anew


def third_eyes(moments: list[Moment], images: list[np.ndarray], bundle: Bundle, model: Path) -> list[Moment]:
    """The same faces, where YuNet sees them too, cut by its eyes."""
    net = cv2.FaceDetectorYN.create(str(model), "", images[0].shape[::-1], 0.6, 0.3, 500)
    template, cut = bundle.manifest.alignment.template(), []
    for moment, image in zip(moments, images, strict=True):
        _, found = net.detect(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))
        eyes = np.asarray(found, np.float32)[:, 4:8].reshape(-1, 2, 2)
        boxes = moment.boxes_xyxy
        side = boxes[:, 2] - boxes[:, 0]
        expected = (boxes[:, :2] + boxes[:, 2:]) / 2 - np.stack([0 * side, 0.1 * side], axis=1)
        away = np.linalg.norm(expected[:, None] - eyes.mean(axis=1), axis=2)
        rows = np.flatnonzero(away.min(axis=1) < 0.3 * side)
        eyes = eyes[away.argmin(axis=1)[rows]]
        cut.append(
            Moment(
                moment.timestamp_s, moment.track_ids[rows], boxes[rows], eyes, align(image, eyes, template)
            )
        )
    return cut


def decide(moments: list[Moment], classifier: Classifier, window_s: float) -> Decisions:
    """Mean probabilities of each track in each window."""
    rows: defaultdict[tuple[int, int], list[np.ndarray]] = defaultdict(list)
    for moment in moments:
        for track, row in zip(moment.track_ids, classifier.probabilities(moment.crops), strict=True):
            rows[int(track), int(moment.timestamp_s // window_s)].append(row)
    return {key: np.mean(values, axis=0) for key, values in rows.items()}


def row(name: str, one: Decisions, other: Decisions) -> str:
    """One line of the table."""
    keys = sorted(one.keys() & other.keys())
    first, second = (np.array([decisions[key] for key in keys]) for decisions in (one, other))
    equal = int((first.argmax(axis=1) == second.argmax(axis=1)).sum())
    low, high = wilson(equal, len(keys))
    apart = np.abs(first - second).sum(axis=1).mean() / 2
    return (
        f"| {name} | {equal} of {len(keys)} | {equal / len(keys):.3f} ({low:.3f}–{high:.3f}) | {apart:.3f} |"
    )


def wilson(hits: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927)."""
    middle = (hits + z * z / 2) / (count + z * z)
    half = z * math.sqrt(hits * (count - hits) / count + z * z / 4) / (count + z * z)
    return middle - half, middle + half


def pupil_errors(moments: list[Moment], reference: list[Moment]) -> list[float]:
    """Mean distance of both pupils from the reference's, over the distance of its eyes."""
    errors = []
    for moment in moments:
        other = min(reference, key=lambda ref: abs(ref.timestamp_s - moment.timestamp_s))
        if abs(other.timestamp_s - moment.timestamp_s) > 0.01:
            continue
        known = dict(zip(other.track_ids.tolist(), other.pupils_xy, strict=True))
        for track, pupils in zip(moment.track_ids.tolist(), moment.pupils_xy, strict=True):
            if track in known:
                eyes = known[track]
                off = np.linalg.norm(pupils - eyes, axis=1).mean()
                errors.append(float(off / np.linalg.norm(eyes[1] - eyes[0])))
    return errors


def main() -> int:
    """Measures and prints two tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clip", type=Path, default=SHARED / CLIPS["mosaic"])
    parser.add_argument("--bundle", type=Path, default=default_bundle_path())
    parser.add_argument("--plain-frames", type=int, default=125, help="they take half a second each")
    arguments = parser.parse_args()
    if not arguments.clip.exists():
        print(f"no clip at {arguments.clip}; give one with --clip", file=sys.stderr)
        return 1
    bundle = open_bundle(arguments.bundle)
    readers = {
        name: Classifier(
            open_engine(bundle, settings).engine,
            temperature=bundle.manifest.temperature,
            classes=len(bundle.manifest.labels),
            max_batch=32,
            dimensions=len(bundle.manifest.dimensions),
        )
        for name, settings in {
            "fp32": InferenceSection(backend="onnxruntime", precision="fp32"),
            "here": InferenceSection(),
        }.items()
    }
    ours, images, tracks = our_moments(arguments.clip, bundle)
    plain = plain_moments(arguments.clip, arguments.plain_frames, bundle, tracks)
    anew = cut_anew(ours, images, bundle)
    nearest = {
        min(range(len(plain)), key=lambda index: abs(plain[index].timestamp_s - moment.timestamp_s))
        for moment in ours
    }
    then = [plain[index] for index in sorted(nearest)]
    third = third_eyes(ours, images, bundle, MODEL) if MODEL.exists() else None
    for window_s in WINDOWS_S:

        def made(moments: list[Moment], reader: str = "fp32", window_s: float = window_s) -> Decisions:
            return decide(moments, readers[reader], window_s)

        print(f"\n**Windows of {window_s:g} s**\n\n| | equal | share | apart |\n|---|---|---|---|")
        print(row("the figure: plain, FP32, all frames : ours as it runs", made(plain), made(ours, "here")))
        print(row("plain's even frames : its odd ones", made(plain[::2]), made(plain[1::2])))
        print(row("INT8: plain, FP32 : the same as it runs here", made(plain), made(plain, "here")))
        print(row("INT8: ours, FP32 : ours as it runs", made(ours), made(ours, "here")))
        print(row("rate: plain, all frames : at our moments", made(plain), made(then)))
        print(row("boxes: plain at our moments : ours, pupils anew", made(then), made(anew)))
        print(row("pupils: ours, pupils anew : remembered", made(anew), made(ours)))
        if third is not None:
            print(row("YuNet's eyes : plain, all frames", made(third), made(plain)))
            print(row("YuNet's eyes : plain at our moments", made(third), made(then)))
            print(row("YuNet's eyes : ours", made(third), made(ours)))
    if third is not None:
        print("\npupils off YuNet's eyes, of their distance (median, 90th percentile):", end=" ")
        for name, moments in {"ours": ours, "ours, looked for anew": anew, "plain": plain}.items():
            errors = pupil_errors(moments, third)
            print(f"{name} {np.median(errors):.3f}, {np.percentile(errors, 90):.3f};", end=" ")
        print()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
