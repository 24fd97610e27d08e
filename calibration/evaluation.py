"""A labelled set through the device's own path: face search, pupils, alignment, engine.

Nothing here has an alignment or a network of its own, so what is measured is what runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from calibration.metrics import Labels, Metrics, measure
from edge_runtime.bundle import Bundle
from edge_runtime.errors import ConfigurationError, Fault
from edge_runtime.faces.labelled import load_labelled
from edge_runtime.faces.locating import locate_all
from edge_runtime.faces.precut import align_precut
from edge_runtime.frames.frame import Image
from edge_runtime.inference.classifier import Classifier
from edge_runtime.inference.engine import Engine, EngineReport, Logits
from edge_runtime.inference.opening import Choice

OnProgress = Callable[[str, int, int], None]
_BATCH: Final = 16


def silent(stage: str, done: int, total: int) -> None:
    """Reports progress to nobody."""


@dataclass(frozen=True, slots=True)
class PreparedFaces:
    """One split of a labelled set as the device would cut it.

    Attributes:
        data: file and split, for reports.
        crops: (N, size, size) uint8, N ≥ 1.
        labels: (N,) int64, in the order of the bundle's labels.
        left_out: reason → images that were dropped.
        pupils_found: share of the images whose pupils were found; the others were cut by the stated fallback.
    """

    data: str
    crops: Image
    labels: Labels
    left_out: dict[str, int]
    pupils_found: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a bundle is worth on a set.

    Attributes:
        data: file and split.
        metrics: with the bundle's own temperature.
        engine: what really ran.
        left_out, pupils_found: as in `PreparedFaces`.
    """

    data: str
    metrics: Metrics
    engine: EngineReport
    left_out: dict[str, int]
    pupils_found: float


def prepare(
    data: Path, split: str, bundle: Bundle, *, cache: Path | None = None, on_progress: OnProgress = silent
) -> PreparedFaces:
    """Reads a split and cuts it by the bundle's template.

    Args:
        data: `.npz`, see `edge_runtime.faces.labelled`.
        split: `training`, `public` or `private`.
        bundle: whose crops and labels are wanted.
        cache: folder for the pupils found; None keeps nothing.
        on_progress: called with (stage, done, total).

    Raises:
        ConfigurationError: the file cannot be used, the split is empty, or the bundle lacks one of its
        classes.
    """
    faces = load_labelled(data, split)
    if len(faces) == 0:
        raise ConfigurationError(str(data), [Fault("split", f"the {split} split holds no images")])
    absent = [name for name in faces.label_names if name not in bundle.manifest.label_names]
    if absent:
        raise ConfigurationError(
            str(data),
            [Fault("labels", f"the bundle {bundle.manifest.name} has no class {', '.join(absent)}")],
        )
    located = locate_all(
        faces.images,
        cache=cache,
        on_progress=lambda done, total: on_progress(f"pupils, {split}", done, total),
    )
    order = np.array([bundle.manifest.label_names.index(name) for name in faces.label_names], np.int64)
    return PreparedFaces(
        f"{data.name}, {split} split",
        align_precut(faces.images, located, bundle.manifest.alignment.template()),
        order[faces.labels],
        faces.left_out,
        float(located.pupils_found.mean()),
    )


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
    return Evaluation(faces.data, metrics, choice.engine.report, faces.left_out, faces.pupils_found)


def infer(engine: Engine, crops: Image, on_progress: OnProgress = silent) -> Logits:
    """Logits of all crops, before any temperature: (N, K) float32, N ≥ 1.

    Raises:
        EngineError: the engine failed.
    """
    parts = []
    for start in range(0, len(crops), _BATCH):
        parts.append(engine.logits(crops[start : start + _BATCH]))
        on_progress("inference", min(start + _BATCH, len(crops)), len(crops))
    return np.concatenate(parts)
