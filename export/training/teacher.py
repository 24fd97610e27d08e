"""Soft targets from a network that was trained before (knowledge distillation, Hinton et al. 2015 §2).

A label of FER2013 says one word; a good network's probabilities say how much of which other word a face holds, and
doubt a label that ten raters would not give. Each training face is shown to the teacher once, undisturbed and
mirrored, through the device's own engine; what it answers, by its calibrated temperature, is the same in all epochs, so
that a teacher costs a minute at the beginning and nothing in a step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from edge_runtime.bundle import open_bundle
from edge_runtime.config import InferenceSection
from edge_runtime.errors import ConfigurationError, Fault
from edge_runtime.faces.precut import align_precut
from edge_runtime.inference.classifier import Classifier
from edge_runtime.inference.opening import open_engine
from edge_runtime.inference.pupil_search import locate_precut
from export.training.datasets import TrainingFaces

_BATCH: Final = 64


def taught_by(
    bundle: Path,
    faces: TrainingFaces,
    label_names: Sequence[str],
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    cache: Path | None = None,
    on_pupils: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[TrainingFaces, str]:
    """Asks a bundle for the probabilities of all training faces.

    Args:
        bundle: directory of the teacher; may find pupils otherwise, and cut by another template, than the student.
        faces: of the training split.
        label_names: of the student, in order.
        progress: called with (images done, images in all).
        cache: folder for the pupils found; None keeps nothing.
        on_pupils: called like `progress`, while the teacher's pupils are looked for.

    Returns:
        The faces with `taught`, and which bundle it was.

    Raises:
        BundleError: the bundle cannot be opened.
        ConfigurationError: it has other classes than the student.
    """
    opened = open_bundle(bundle)
    manifest = opened.manifest
    if set(manifest.label_names) != set(label_names):
        problem = (
            f"{manifest.name} knows {', '.join(manifest.label_names)}; the data has {', '.join(label_names)}"
        )
        raise ConfigurationError("the command line", [Fault("--teacher", problem)])
    engine = open_engine(opened, InferenceSection()).engine
    classifier = Classifier(
        engine, temperature=manifest.temperature, classes=len(manifest.labels), max_batch=_BATCH
    )
    order = [manifest.label_names.index(name) for name in label_names]
    located = locate_precut(faces.images, manifest.pupils, cache=cache, on_progress=on_pupils)
    taught = np.empty((len(faces.labels), len(order)), np.float32)
    for start in range(0, len(taught), _BATCH):
        rows = slice(start, start + _BATCH)
        crops = align_precut(faces.images[rows], located.rows(rows), manifest.alignment.template())
        both = classifier.probabilities(crops) + classifier.probabilities(
            np.ascontiguousarray(crops[:, :, ::-1])
        )
        taught[rows] = both[:, order] / 2
        progress(min(start + _BATCH, len(taught)), len(taught))
    return replace(faces, taught=taught), f"{manifest.name} {manifest.version} {opened.digest[:16]}"
