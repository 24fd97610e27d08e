"""A network of sequences against the truth of clips, and a network of single images on the same frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle import open_bundle
from edge_runtime.config import InferenceSection
from edge_runtime.errors import ConfigurationError, Fault
from edge_runtime.faces.alignment import FloatArray
from edge_runtime.inference.classifier import Classifier
from edge_runtime.inference.opening import open_engine
from export.training.sequences.batches import AS_SEEN, cut
from export.training.sequences.checkpoints import TrainedSequence
from export.training.sequences.clips import Clips
from export.training.sequences.grown import places_of

_LOOK: Final = 32  # clips at a time
_SEED: Final = 5  # of how far off pupils and landmarks are


@dataclass(frozen=True, slots=True)
class Quality:
    """How right a network is about the newest frame of clips.

    Attributes:
        name: of the network.
        accuracy: share of the clips.
        macro_f1: mean of the classes' F1.
        f1: class → F1.
        concordance: Lin's coefficient of valence and of arousal.
    """

    name: str
    accuracy: float
    macro_f1: float
    f1: dict[str, float]
    concordance: tuple[float, float]


def measure_sequences(trained: TrainedSequence, clips: Clips, name: str) -> tuple[Quality, Quality]:
    """Of a network of sequences: on the clips, and on their newest frames alone, standing still, without motion."""
    places, rng = places_of(trained.label_names), np.random.default_rng(_SEED)
    moving, still = [], []
    for start in range(0, len(clips), _LOOK):
        part = clips.rows(np.arange(start, min(start + _LOOK, len(clips))))
        batch = cut(part, trained.config.inputs, trained.template, AS_SEEN, rng)
        sequence = trained.features(batch.inputs).reshape(len(part), clips.frames, -1)
        moving.append(trained.read(sequence, places))
        still.append(trained.read(np.repeat(sequence[:, -1:], clips.frames, axis=1), places))
    moved, stood = (
        quality(named, trained.label_names, clips, *map(np.concatenate, zip(*parts, strict=True)))
        for named, parts in ((name, moving), (f"{name}, newest frame alone", still))
    )
    return moved, stood


def measure_single_images(
    folder: Path, clips: Clips, label_names: tuple[str, ...]
) -> tuple[Quality, Quality]:
    """Of a bundle of single images, through the device's own engine: averaged over each clip, and on its newest frame.

    Raises:
        BundleError: it does not open.
        ConfigurationError: its classes are others.
    """
    bundle = open_bundle(folder)
    manifest = bundle.manifest
    known = [label.name for label in manifest.labels]
    if set(known) != set(label_names):
        problem = f"has the classes {', '.join(known)}, not {', '.join(label_names)}"
        raise ConfigurationError(str(folder), [Fault("labels", problem)])
    engine = open_engine(bundle, InferenceSection()).engine
    classifier = Classifier(engine, temperature=manifest.temperature, classes=len(known), max_batch=8)
    order = [known.index(name) for name in label_names]
    rng, frames = np.random.default_rng(_SEED), []
    for start in range(0, len(clips), _LOOK):
        part = clips.rows(np.arange(start, min(start + _LOOK, len(clips))))
        crops = cut(part, ("crop",), manifest.alignment.template(), AS_SEEN, rng).inputs["crop"].numpy()
        frames.append(classifier.probabilities(crops)[:, order].reshape(len(part), clips.frames, -1))
    shares = np.concatenate(frames)
    places = places_of(label_names)
    name = f"{manifest.name} {manifest.version}"
    mean, newest = shares.mean(axis=1), shares[:, -1]
    return (
        quality(f"{name}, mean over the clip", label_names, clips, mean, mean @ places),
        quality(f"{name}, newest frame", label_names, clips, newest, newest @ places),
    )


def quality(
    name: str, label_names: tuple[str, ...], clips: Clips, shares: FloatArray, dimensions: FloatArray
) -> Quality:
    """Against the truth of the newest frames.

    Args:
        name: of the network.
        label_names: of the classes, in order.
        clips: N of them.
        shares: (N, K) probabilities.
        dimensions: (N, 2) valence and arousal.
    """
    found, true = shares.argmax(axis=1), clips.labels
    f1 = f1_scores(found, true, len(label_names))
    wanted = clips.valence_arousal[:, -1]
    agreement = [concordance(dimensions[:, column], wanted[:, column]) for column in range(2)]
    return Quality(
        name,
        float((found == true).mean()),
        float(f1.mean()),
        dict(zip(label_names, f1.tolist(), strict=True)),
        (agreement[0], agreement[1]),
    )


def f1_scores(
    found: npt.NDArray[np.int64], true: npt.NDArray[np.int64], classes: int
) -> npt.NDArray[np.float64]:
    """(K,) harmonic means of precision and recall: 2·hits / (found + there); 0 where neither."""
    hits = np.bincount(true[found == true], minlength=classes)
    both = np.bincount(found, minlength=classes) + np.bincount(true, minlength=classes)
    return np.asarray(2 * hits / np.maximum(both, 1), np.float64)


def concordance(found: FloatArray, wanted: FloatArray) -> float:
    """Lin's concordance correlation coefficient of two (N,) series, in [−1, 1]; P3's Table 1."""
    covariance = ((found - found.mean()) * (wanted - wanted.mean())).mean()
    return float(2 * covariance / (found.var() + wanted.var() + (found.mean() - wanted.mean()) ** 2 + 1e-12))
