"""No skew between training and device, measured: faces pasted into frames, and sent through the whole path.

    pre-cut faces → frames of 640×480 → found, aligned, classified as on a device → the same faces, cut directly

The faces that are found are compared with themselves: what the whole path costs is the difference of the two
accuracies on them, and how many are found is said beside it. A third one, of crops cut out of the frame where the
pupils are known to be, tells what pasting alone costs from what is found otherwise than in training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from calibration.evaluation import OnProgress, PreparedFaces, silent
from calibration.metrics import Metrics, measure
from edge_runtime.bundle import Bundle
from edge_runtime.config import FacesSection
from edge_runtime.errors import EngineError
from edge_runtime.faces.alignment import FloatArray, align
from edge_runtime.faces.crops import CropMaker
from edge_runtime.faces.finder import FaceFinder
from edge_runtime.faces.view import FrameView
from edge_runtime.frames.frame import Frame, Image
from edge_runtime.inference.classifier import Classifier
from edge_runtime.inference.opening import Choice
from edge_runtime.inference.pupil_search import pupil_source

_HEIGHT_PX, _WIDTH_PX = 480, 640
_ROWS, _COLUMNS = 2, 3
_PLACES: Final = _ROWS * _COLUMNS
_FACE_PX: Final = (60, 120)  # width of a pasted cut, drawn evenly
_BACKGROUND: Final = 96  # grey level, with a little of a sensor's noise, in which no cascade sees a face
_NOISE: Final = 4.0
_SECONDS_APART: Final = 10.0


@dataclass(frozen=True, slots=True)
class EndToEnd:
    """What the whole path is worth.

    Attributes:
        faces: pasted.
        found: of them, that were found where they are and were wide enough to be read.
        direct: accuracy and so on of the found ones, cut directly.
        pasted: the same ones, cut out of the frame by the same pupils: resampled, with the sensor's noise.
        through: the same ones through the whole path.
    """

    faces: int
    found: int
    direct: Metrics
    pasted: Metrics
    through: Metrics

    @property
    def recall(self) -> float:
        """Share of the pasted faces that was found, 0 to 1."""
        return self.found / self.faces

    @property
    def points_lost(self) -> float:
        """Percentage points of accuracy that the whole path costs; below zero where it gains."""
        return 100 * (self.direct.accuracy - self.through.accuracy)

    def to_json(self) -> dict[str, Any]:
        """As plain types."""
        return {
            "faces": self.faces,
            "found": self.found,
            "recall": self.recall,
            "points_lost": self.points_lost,
            "direct": self.direct.to_json(),
            "pasted": self.pasted.to_json(),
            "through": self.through.to_json(),
        }


def end_to_end(
    bundle: Bundle, choice: Choice, faces: PreparedFaces, on_progress: OnProgress = silent, *, seed: int = 0
) -> EndToEnd:
    """Pastes each face once into a frame, six to a frame, and looks what comes out.

    Args:
        bundle: opened.
        choice: the engine to measure with.
        faces: of `prepare`.
        on_progress: called with (stage, done, total).
        seed: of sizes, places and noise.

    Raises:
        EngineError: the engine failed, or not one face was found.
    """
    manifest, rng = bundle.manifest, np.random.default_rng(seed)
    classifier = Classifier(
        choice.engine, temperature=manifest.temperature, classes=len(manifest.labels), max_batch=_PLACES
    )
    total = len(faces.labels)
    direct, pasted, through = (np.zeros((total, len(manifest.labels)), np.float32) for _ in range(3))
    found = np.zeros(total, np.bool_)
    crop_maker = CropMaker(
        manifest.alignment.template(), manifest.readable_width_px, pupils=pupil_source(faces.pupils)
    )
    with FaceFinder(FacesSection(), waits_for_scans=True) as finder:
        for start in range(0, total, _PLACES):
            rows = np.arange(start, min(start + _PLACES, total))
            picture, boxes = paste(faces.images[rows], rng)
            view = FrameView(Frame(picture, _SECONDS_APART * start))
            finder.reset()
            seen = finder.find(view)
            seen = seen.only(crop_maker.readable(seen))
            probabilities = classifier.probabilities(crop_maker.make(view, seen).images)
            for place, match in enumerate(matches(boxes, seen.boxes_xyxy)):
                if match is not None:
                    found[rows[place]], through[rows[place]] = True, probabilities[match]
            direct[rows] = classifier.probabilities(faces.crops[rows])
            pupils = pasted_pupils(faces.pupils_xy[rows], boxes, faces.images.shape[2])
            pasted[rows] = classifier.probabilities(align(view.grey, pupils, crop_maker.template))
            on_progress("whole path", int(rows[-1]) + 1, total)
    if not found.any():
        raise EngineError(
            "not one of the pasted faces was found",
            hint="the set must hold single frontal faces, cut a little around the face",
        )
    names, labels = manifest.label_names, faces.labels[found]
    figures = (measure(answers[found], labels, names) for answers in (direct, pasted, through))
    return EndToEnd(total, int(found.sum()), *figures)


def paste(images: Image, rng: np.random.Generator) -> tuple[Image, npt.NDArray[np.float32]]:
    """A frame with up to six faces, each somewhere in its own sixth.

    Args:
        images: (n, H, W) uint8 pre-cut faces, n ≤ 6.
        rng: decides sizes, places and noise.

    Returns:
        (480, 640, 3) uint8, and (n, 4) float32 boxes of the pasted cuts.
    """
    noise = rng.normal(_BACKGROUND, _NOISE, (_HEIGHT_PX, _WIDTH_PX))
    picture = noise.clip(0, 255).astype(np.uint8)
    cell = _HEIGHT_PX // _ROWS, _WIDTH_PX // _COLUMNS
    boxes = np.empty((len(images), 4), np.float32)
    for place, image in enumerate(images):
        width = int(rng.integers(_FACE_PX[0], _FACE_PX[1] + 1))
        how = cv2.INTER_AREA if width < image.shape[1] else cv2.INTER_CUBIC
        row, column = divmod(place, _COLUMNS)
        y = row * cell[0] + int(rng.integers(0, cell[0] - width + 1))
        x = column * cell[1] + int(rng.integers(0, cell[1] - width + 1))
        picture[y : y + width, x : x + width] = cv2.resize(image, (width, width), interpolation=how)
        boxes[place] = x, y, x + width, y + width
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR), np.uint8), boxes


def pasted_pupils(pupils_xy: FloatArray, boxes_xyxy: FloatArray, width_px: int) -> FloatArray:
    """Where the pupils of pre-cut faces come to lie in the frame.

    Args:
        pupils_xy: (n, 2, 2) float32 in pixels of the cuts.
        boxes_xyxy: (n, 4) float32 of `paste`.
        width_px: of the cuts.

    Returns:
        (n, 2, 2) float32 in pixels of the frame.
    """
    scale = (boxes_xyxy[:, 2] - boxes_xyxy[:, 0])[:, None, None] / width_px
    return ((pupils_xy + 0.5) * scale - 0.5 + boxes_xyxy[:, None, :2]).astype(np.float32)


def matches(pasted_xyxy: npt.NDArray[np.float32], seen_xyxy: npt.NDArray[np.float32]) -> list[int | None]:
    """For each pasted face the largest seen box whose middle lies in it; None where there is none."""
    middles = (seen_xyxy[:, :2] + seen_xyxy[:, 2:]) / 2
    widths = seen_xyxy[:, 2] - seen_xyxy[:, 0]
    chosen: list[int | None] = []
    for box in pasted_xyxy:
        inside = np.flatnonzero(((middles >= box[:2]) & (middles <= box[2:])).all(axis=1))
        chosen.append(int(inside[widths[inside].argmax()]) if len(inside) else None)
    return chosen
