"""The calibration set: which faces a quantizer sees. Chosen, not “the first 300”.

    labelled set → a seeded draw from each class → aligned as on the device → quality gate → no near-duplicates
                 → k-centre over HOG features: the faces that stand for all the others

Crops of a private source stay where they are chosen; a picture of them is drawn only of a public data set.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from calibration.evaluation import OnProgress, silent
from calibration.metrics import Labels
from calibration.sealing import is_sealed, seal, unseal
from edge_runtime.bundle import Bundle
from edge_runtime.errors import ConfigurationError, Fault
from edge_runtime.faces.labelled import load_labelled
from edge_runtime.faces.precut import align_precut
from edge_runtime.faces.quality import sharpness
from edge_runtime.features.hog import hog
from edge_runtime.file_writing import write_whole
from edge_runtime.frames.frame import Image
from edge_runtime.inference.engine import Given
from edge_runtime.inference.pupil_search import locate_precut
from edge_runtime.state_directory import state_directory

PER_CLASS: Final = 40
CANDIDATES_PER_PLACE: Final = 6  # candidates for each place
SHARP: Final = 0.014  # `edge_runtime.faces.quality.sharpness`: below it, eyes are no longer found
_DUPLICATE: Final = 0.98  # correlation of two crops, each 16×16, above which one of them is enough
_THUMBNAIL: Final = 16
_SCHEMA: Final = "roomtone-calibration-set/1"


@dataclass(frozen=True, slots=True)
class SampleFacts:
    """Where a calibration set comes from.

    Attributes:
        data: file and split, for reports.
        template: of the alignment that cut the crops.
        seed: of the draw.
        per_class: how many of each class were wanted.
        candidates: that were looked at.
        left_out: reason → candidates that were dropped.
        is_private: faces of a camera, with the classes that the network takes them for; kept sealed only.
    """

    data: str
    template: str
    seed: int
    per_class: int
    candidates: int
    left_out: dict[str, int]
    is_private: bool = False


@dataclass(frozen=True, slots=True)
class CalibrationSet:
    """Crops for a quantizer.

    Attributes:
        crops: (N, size, size) uint8, in the order in which they were chosen within each class.
        labels: (N,) int64 in the order of `label_names`.
        label_names: classes.
        facts: where they come from.
        given: kind → (N, M, …) of inputs that are not made of crops; of a sequence, whose crops are (N, M, size, size).
    """

    crops: Image
    labels: Labels
    label_names: tuple[str, ...]
    facts: SampleFacts
    given: Given = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """sha256 of crops and labels, hex."""
        return hashlib.sha256(self.crops.tobytes() + self.labels.tobytes()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """As plain types, without the crops."""
        counts = np.bincount(self.labels, minlength=len(self.label_names))
        return {
            **asdict(self.facts),
            "images": len(self.labels),
            "classes": dict(zip(self.label_names, counts.tolist(), strict=True)),
            "sha256": self.digest,
        }


def choose_samples(
    data: Path,
    bundle: Bundle,
    *,
    split: str = "training",
    labelling: str = "fer",
    per_class: int = PER_CLASS,
    seed: int = 0,
    on_progress: OnProgress = silent,
) -> CalibrationSet:
    """Chooses a calibration set of the bundle's classes.

    Args:
        data: `.npz` or folder per class, see `edge_runtime.faces.labelled`.
        bundle: whose crops and labels are wanted.
        split: to draw from; never one that is tested on.
        labelling: of a `.npz`: `fer` or `ferplus`.
        per_class: how many of each.
        seed: of the draw.
        on_progress: called with (stage, done, total).

    Raises:
        ConfigurationError: the data cannot be used, or has usable images of fewer than two of the classes.
    """
    faces = load_labelled(data, split, labelling)
    names, rng = bundle.manifest.label_names, np.random.default_rng(seed)
    order = np.array([names.index(name) if name in names else -1 for name in faces.label_names], np.int64)
    labels = order[faces.labels]
    drawn = [
        _draw(np.flatnonzero(labels == k), CANDIDATES_PER_PLACE * per_class, rng) for k in range(len(names))
    ]
    rows = np.concatenate(drawn)
    located = locate_precut(
        faces.images[rows],
        bundle.manifest.pupils,
        on_progress=lambda *n: on_progress("pupils, calibration", *n),
    )
    crops = align_precut(faces.images[rows], located, bundle.manifest.alignment.template())
    sharp = np.array([sharpness(crop) >= SHARP for crop in crops], np.bool_)
    without = {"pupils not found": ~located.pupils_found, "blurred": located.pupils_found & ~sharp}
    good = located.pupils_found & sharp
    facts = SampleFacts(
        f"{data.name}, {split} split",
        bundle.manifest.alignment.name,
        seed,
        per_class,
        len(rows),
        {why: int(rows_without.sum()) for why, rows_without in without.items()},
    )
    return choose(crops[good], labels[rows][good], names, facts, on_progress)


def choose(
    crops: Image, labels: Labels, names: tuple[str, ...], facts: SampleFacts, on_progress: OnProgress = silent
) -> CalibrationSet:
    """From usable candidates to the set: no near-duplicates, and of each class those that stand for the others.

    Args:
        crops: (N, size, size) uint8, N may be 0.
        labels: (N,) in the order of `names`.
        names: of the classes.
        facts: with how many of each are wanted, and what was left out so far.
        on_progress: called with (stage, done, total).

    Raises:
        ConfigurationError: fewer than two of the classes have any.
    """
    repeated = _near_duplicates(crops)
    kept: list[npt.NDArray[np.int64]] = []
    for k in range(len(names)):
        members = np.flatnonzero(~repeated & (labels == k))
        kept.append(members[k_centre(hog(crops[members]), facts.per_class)])
        on_progress("choosing", k + 1, len(names))
    chosen = np.concatenate(kept)
    left_out = facts.left_out | {"nearly the same as another": int(repeated.sum())}
    result = CalibrationSet(crops[chosen], labels[chosen], names, replace(facts, left_out=left_out))
    _check_classes(result, facts.data)
    return result


def k_centre(features: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.int64]:
    """Greedy k-centre (Gonzalez 1985): the member nearest to the mean, then each time the one farthest from all chosen.

    Args:
        features: (N, D), N may be 0.
        count: how many are wanted; all when there are fewer.

    Returns:
        (min(N, count),) indices in the order of choosing.
    """
    if len(features) == 0:
        return np.empty(0, np.int64)
    first = int(((features - features.mean(axis=0)) ** 2).sum(axis=1).argmin())
    chosen, nearest = [first], ((features - features[first]) ** 2).sum(axis=1)
    while len(chosen) < min(count, len(features)):
        nearest[chosen] = -1  # a twin at distance 0 comes before a second look at the same one
        chosen.append(int(nearest.argmax()))
        np.minimum(nearest, ((features - features[chosen[-1]]) ** 2).sum(axis=1), out=nearest)
    return np.array(chosen, np.int64)


def save_samples(samples: CalibrationSet, path: Path, state: Path | None = None) -> None:
    """Writes a calibration set, whole or not at all; a private one sealed.

    Args:
        samples: to write.
        path: of the file.
        state: this device's state directory, where the key of a private set goes.

    Raises:
        ConfigurationError: it cannot be written there.
        ValueError: a private set, and no place for its key.
    """
    facts = json.dumps({"schema": _SCHEMA, "sha256": samples.digest, **asdict(samples.facts)})
    arrays: dict[str, Any] = {"crops": samples.crops, "labels": samples.labels}
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays, label_names=np.array(samples.label_names), facts=np.array(facts))
    if samples.facts.is_private:
        if state is None:
            raise ValueError("faces of a camera are written sealed only")
        seal(stream.getvalue(), path, state)
        return
    try:
        write_whole(path, stream.getvalue())
    except OSError as exc:
        raise ConfigurationError(str(path), [Fault("--out", f"cannot be written: {exc.strerror}")]) from exc


def load_samples(path: Path, bundle: Bundle, state: Path | None = None) -> CalibrationSet:
    """Reads what `save_samples` wrote, and checks that it is of this bundle's alignment and classes.

    Args:
        path: of the file.
        bundle: that is to be calibrated.
        state: where the key of a sealed set lies; `edge_runtime.state_directory` when None.

    Raises:
        ConfigurationError: it is missing, truncated, changed, of another bundle's crops, or all of one class.
    """
    hint = "choose it again: roomtone calibrate samples"
    try:
        data = path.read_bytes()
        if is_sealed(data):
            data = unseal(data, path, state or state_directory())
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            crops, labels = stored["crops"], stored["labels"]
            names = tuple(str(name) for name in stored["label_names"])
            facts = json.loads(str(stored["facts"]))
        digest, schema = facts.pop("sha256"), facts.pop("schema")
        samples = CalibrationSet(crops, labels, names, SampleFacts(**facts))
    except FileNotFoundError as exc:
        raise ConfigurationError(str(path), [Fault("", "no such file")], hint=hint) from exc
    except (OSError, KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as exc:
        problem = f"is no calibration set that can be read: {exc}"
        raise ConfigurationError(str(path), [Fault("", problem)], hint=hint) from exc
    template, wanted = bundle.manifest.alignment, bundle.manifest.label_names
    size = (template.size_px, template.size_px)
    problems = []
    if schema != _SCHEMA or samples.digest != digest:
        problems.append("is not the set whose digest it holds")
    if crops.dtype != np.uint8 or crops.shape[1:] != size or samples.facts.template != template.name:
        problems.append(
            f"holds {crops.shape} crops of the template {samples.facts.template}; "
            f"{bundle.manifest.name} wants {size[0]}×{size[1]} of {template.name}"
        )
    if names != wanted:
        problems.append(f"has the classes {', '.join(names)}; the bundle has {', '.join(wanted)}")
    if problems:
        raise ConfigurationError(str(path), [Fault("", problem) for problem in problems], hint=hint)
    _check_classes(samples, str(path))
    return samples


def _draw(rows: npt.NDArray[np.intp], count: int, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    return rng.permutation(rows)[:count]


def _near_duplicates(crops: Image) -> npt.NDArray[np.bool_]:
    """Which crops are nearly the same as one before them."""
    if len(crops) == 0:
        return np.zeros(0, np.bool_)
    side = crops.shape[1] // _THUMBNAIL * _THUMBNAIL
    blocks = crops[:, :side, :side].reshape(len(crops), _THUMBNAIL, side // _THUMBNAIL, _THUMBNAIL, -1)
    rows = blocks.mean(axis=(2, 4), dtype=np.float32).reshape(len(crops), -1)
    rows -= rows.mean(axis=1, keepdims=True)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True).clip(min=1e-6)
    earlier: npt.NDArray[np.bool_] = np.tril(rows @ rows.T > _DUPLICATE, -1).any(axis=1)
    return earlier


def _check_classes(samples: CalibrationSet, origin: str) -> None:
    present = np.unique(samples.labels)
    if len(present) >= 2:
        return
    found = samples.label_names[int(present[0])] if len(present) else "no class"
    raise ConfigurationError(
        origin,
        [Fault("", f"has usable calibration images of {found} only")],
        hint="a quantizer must see what faces of all classes look like: give images of each, or look for longer",
    )
