"""A labelled set through the device's own path: face search, pupils, alignment, engine.

Nothing here has an alignment or a network of its own, so what is measured is what runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np

from calibration.metrics import Labels, Metrics, measure
from edge_runtime.bundle import Bundle
from edge_runtime.errors import ConfigurationError, Fault
from edge_runtime.faces.alignment import FloatArray, PupilWay
from edge_runtime.faces.labelled import LabelledFaces, load_labelled
from edge_runtime.faces.precut import align_precut
from edge_runtime.frames.frame import Image
from edge_runtime.inference.classifier import Classifier
from edge_runtime.inference.engine import NOTHING, Engine, EngineReport, Given, Logits
from edge_runtime.inference.opening import Choice
from edge_runtime.inference.pupil_search import locate_precut

OnProgress = Callable[[str, int, int], None]
_BATCH: Final = 16


def silent(stage: str, done: int, total: int) -> None:
    """Reports progress to nobody."""


@dataclass(frozen=True, slots=True)
class PreparedFaces:
    """One split of a labelled set as the device would cut it.

    Attributes:
        data: file and split, for reports.
        images: (N, H, W) uint8, as cut by the set's makers.
        pupils_xy: (N, 2, 2) float32 in pixels of the images, found or by the stated fallback.
        crops: (N, size, size) uint8, N ≥ 1.
        labels: (N,) int64, in the order of the bundle's labels.
        left_out: reason → images that were dropped.
        pupils_found: share of the images whose pupils were found; the others were cut by the stated fallback.
        unreadable: files of a folder that are no image.
        pupils: what looked for them.
        given: kind → (N, M, …) of inputs that are not made of crops; of a sequence, whose crops are (N, M, size, size).
    """

    data: str
    images: Image
    pupils_xy: FloatArray
    crops: Image
    labels: Labels
    left_out: dict[str, int]
    pupils_found: float
    unreadable: tuple[str, ...] = ()
    pupils: PupilWay = "haar"
    given: Given = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Faces that training never saw: one split to choose on, one to speak the verdict on."""

    choosing: PreparedFaces
    testing: PreparedFaces


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a bundle is worth on a set.

    Attributes:
        data: file and split.
        metrics: with the bundle's own temperature.
        engine: what really ran.
        left_out, pupils_found, unreadable: as in `PreparedFaces`.
    """

    data: str
    metrics: Metrics
    engine: EngineReport
    left_out: dict[str, int]
    pupils_found: float
    unreadable: tuple[str, ...]


def prepare(
    data: Path,
    split: str,
    bundle: Bundle,
    *,
    labelling: str = "fer",
    cache: Path | None = None,
    on_progress: OnProgress = silent,
    pupils: PupilWay | None = None,
) -> PreparedFaces:
    """Reads a split and cuts it by the bundle's template. Images of a class that the bundle lacks are left out.

    Args:
        data: `.npz` or folder per class, see `edge_runtime.faces.labelled`.
        split: `training`, `public`, `private` or `all`.
        bundle: whose crops and labels are wanted.
        labelling: of a `.npz`: `fer` or `ferplus`.
        cache: folder for the pupils found; None keeps nothing.
        on_progress: called with (stage, done, total).
        pupils: how they are found; None: as the bundle learned.

    Raises:
        ConfigurationError: the data cannot be used, the split is empty, or the bundle has none of its classes.
    """
    faces, left_out = _of_known_classes(load_labelled(data, split, labelling), bundle.manifest.label_names)
    if len(faces) == 0:
        classes = ", ".join(faces.label_names)
        problem = f"the {split} split holds no image of a class that {bundle.manifest.name} has ({classes})"
        raise ConfigurationError(str(data), [Fault("split", problem)])
    way = pupils or bundle.manifest.pupils
    located = locate_precut(
        faces.images,
        way,
        cache=cache,
        on_progress=lambda done, total: on_progress(f"pupils, {split}", done, total),
    )
    known = bundle.manifest.label_names
    order = np.array([known.index(name) if name in known else -1 for name in faces.label_names], np.int64)
    return PreparedFaces(
        f"{data.name}, {split} split"
        if labelling == "fer"
        else f"{data.name}, {split} split, {labelling} labels",
        faces.images,
        located.pupils_xy,
        align_precut(faces.images, located, bundle.manifest.alignment.template()),
        order[faces.labels],
        left_out,
        float(located.pupils_found.mean()),
        faces.unreadable,
        way,
    )


def _of_known_classes(faces: LabelledFaces, known: tuple[str, ...]) -> tuple[LabelledFaces, dict[str, int]]:
    """The images of the bundle's classes, and why which others were left out."""
    left_out = dict(faces.left_out)
    absent = [index for index, name in enumerate(faces.label_names) if name not in known]
    for index in absent:
        if count := int((faces.labels == index).sum()):
            left_out[f"of a class that the bundle lacks: {faces.label_names[index]}"] = count
    keep = ~np.isin(faces.labels, absent)
    return replace(faces, images=faces.images[keep], labels=faces.labels[keep], votes=None), left_out


def evaluate(
    bundle: Bundle, choice: Choice, faces: PreparedFaces, on_progress: OnProgress = silent
) -> Evaluation:
    """Classifies all crops as the device does, and measures.

    Raises:
        EngineError: the engine failed.
    """
    manifest, count = bundle.manifest, len(faces.crops)
    classifier = Classifier(
        choice.engine, temperature=manifest.temperature, classes=len(manifest.labels), max_batch=_BATCH
    )
    parts = []
    for start in range(0, count, _BATCH):
        parts.append(classifier.probabilities(faces.crops[start : start + _BATCH]))
        on_progress("inference", min(start + _BATCH, count), count)
    metrics = measure(np.concatenate(parts), faces.labels, manifest.label_names)
    return Evaluation(
        faces.data, metrics, choice.engine.report, faces.left_out, faces.pupils_found, faces.unreadable
    )


def infer(engine: Engine, crops: Image, on_progress: OnProgress = silent, given: Given = NOTHING) -> Logits:
    """Logits of all crops, before any temperature: (N, K) float32, N ≥ 1.

    Raises:
        EngineError: the engine failed.
    """
    parts = []
    for start in range(0, len(crops), _BATCH):
        rows = slice(start, start + _BATCH)
        beside = {kind: values[rows] for kind, values in given.items()}
        parts.append(engine.logits(crops[rows], beside) if beside else engine.logits(crops[rows]))
        on_progress("inference", min(start + _BATCH, len(crops)), len(crops))
    return np.concatenate(parts)
