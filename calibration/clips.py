"""Clips for networks of sequences: frames of one face, cut and measured as the device would.

A `.npz` as `roomtone train sequence` and `roomtone sequences` keep them: `images (N, M, S, S) uint8` grey, `pupils_xy
(N, M, 2, 2)`, `landmarks_xy (N, M, 70, 2)` with NaN where unknown, and `shares (N, M, K)`, how far each class is true
of a frame; the newest frame's class is the clip's. Every third clip calibrates, chooses or tests: each shows another
person, so nobody is in two of the three.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Final

import numpy as np

from calibration.evaluation import HeldOut, PreparedFaces
from calibration.samples import CalibrationSet, SampleFacts
from edge_runtime.bundle import Bundle
from edge_runtime.errors import ConfigurationError, Fault
from edge_runtime.faces.alignment import FloatArray, align
from edge_runtime.features.landmark_distances import landmark_distances
from edge_runtime.frames.frame import Image

_PARTS: Final = ("calibrating", "choosing", "testing")
_MOST_SAMPLES: Final = 256  # clips whose frames the quantizers see


def prepare_clips(data: Path, bundle: Bundle) -> tuple[CalibrationSet, HeldOut]:
    """Reads clips and cuts them by the bundle's template.

    Args:
        data: `.npz`, see the module; of people that training never saw.
        bundle: with a sequence; its labels are the clips' classes, in their order.

    Raises:
        ConfigurationError: the file is none of clips, or its clips are not those that the bundle reads.
    """
    sequence, names = bundle.manifest.sequence, bundle.manifest.label_names
    try:
        with np.load(data, allow_pickle=False) as archive:
            images, pupils = archive["images"], archive["pupils_xy"]
            landmarks, shares = archive["landmarks_xy"], archive["shares"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as exc:
        raise _refused(
            data, f"cannot be read as clips: {exc}; {bundle.manifest.name} reads sequences"
        ) from exc
    if sequence is None or images.ndim != 4 or images.shape[1] != sequence.frames:
        wanted = 0 if sequence is None else sequence.frames
        raise _refused(data, f"holds images {images.shape}; {bundle.manifest.name} reads {wanted} frames")
    if shares.shape != (*images.shape[:2], len(names)):
        raise _refused(data, f"tells {shares.shape[-1]} classes; {bundle.manifest.name} has {len(names)}")
    if len(images) < 3 * len(names):
        raise _refused(data, f"holds {len(images)} clips, which is less than three of each class")
    labels = shares[:, -1].argmax(axis=1).astype(np.int64)
    parts = {}
    for first, part in enumerate(_PARTS):
        # A third of each class: classes may take turns in the file, in step with the thirds.
        rows = np.concatenate([np.flatnonzero(labels == label)[first::3] for label in range(len(names))])
        rows.sort()
        parts[part] = PreparedFaces(
            f"{data.name}, {part} third",
            images[rows],
            pupils[rows],
            _cut(images[rows], pupils[rows], bundle),
            labels[rows],
            {},
            1.0,
            given=_given(landmarks[rows], bundle),
        )
    return _samples(parts["calibrating"], bundle.manifest.alignment.name, names), HeldOut(
        parts["choosing"], parts["testing"]
    )


def _cut(images: Image, pupils: FloatArray, bundle: Bundle) -> Image:
    template = bundle.manifest.alignment.template()
    size = template.size_px
    crops = np.empty((*images.shape[:2], size, size), np.uint8)
    for place in np.ndindex(*images.shape[:2]):
        align(images[place], pupils[place][None].astype(np.float32), template, out=crops[place][None])
    return crops


def _given(landmarks: FloatArray, bundle: Bundle) -> dict[str, FloatArray]:
    if not bundle.manifest.wants_landmarks:
        return {}
    flat = landmark_distances(landmarks.reshape(-1, *landmarks.shape[2:]))
    return {"landmark_distances": flat.reshape(*landmarks.shape[:2], -1)}


def _samples(faces: PreparedFaces, template: str, names: tuple[str, ...]) -> CalibrationSet:
    rows = np.unique(np.linspace(0, len(faces.labels) - 1, _MOST_SAMPLES).astype(np.intp))
    facts = SampleFacts(faces.data, template, 0, int(np.bincount(faces.labels).max()), len(faces.labels), {})
    given = {kind: values[rows] for kind, values in faces.given.items()}
    return CalibrationSet(faces.crops[rows], faces.labels[rows], names, facts, given)


def _refused(data: Path, problem: str) -> ConfigurationError:
    hint = "roomtone sequences clips makes clips of people that no training has seen"
    return ConfigurationError(str(data), [Fault("clips", problem)], hint=hint)
