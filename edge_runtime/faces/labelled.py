"""Labelled sets of pre-cut faces: what training, calibration and evaluation all read, through one reader.

A set is a `.npz` archive or a folder per class (see `labelled_folder`).

The `.npz` layout is FER2013's as a numpy archive: `images (N, H, W) uint8`, `labels (N,)`, `split (N,)` with
0 training, 1 public test, 2 private test; optionally `exact (N,)`, 0 for images that are known not to be
faces, and `votes (N, 10)`, how many of FER+'s raters chose what (Barsoum et al. 2016).

One archive so holds two labellings, which agree on 62.8 % of FER2013's images: `fer`, the makers' own seven
classes, and `ferplus`, the class that most raters chose out of eight.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from edge_runtime.errors import ConfigurationError, Fault
from edge_runtime.faces import labelled_folder
from edge_runtime.frames.frame import Image

FER_LABELS: Final = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
FERPLUS_LABELS: Final = ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt")
VOTE_COLUMNS: Final = (*FERPLUS_LABELS, "unknown", "not a face")
LABELLINGS: Final = {"fer": FER_LABELS, "ferplus": FERPLUS_LABELS}
SPLITS: Final = (*labelled_folder.SPLITS, "all")


@dataclass(frozen=True, slots=True)
class LabelledFaces:
    """One split of a labelled set.

    Attributes:
        images: (N, H, W) uint8 grey, as cut by the set's makers.
        labels: (N,) int64 indices into `label_names`.
        label_names: names in order.
        left_out: reason → number of images of this split that were dropped.
        votes: (N, 10) uint8 in the order of `VOTE_COLUMNS`; None where the set has none.
        unreadable: files of a folder that are no image.
    """

    images: Image
    labels: npt.NDArray[np.int64]
    label_names: tuple[str, ...]
    left_out: dict[str, int]
    votes: Image | None = None
    unreadable: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> LabelledFaces:
        """The first `count` images, for trials."""
        votes = None if self.votes is None else self.votes[:count]
        return replace(self, images=self.images[:count], labels=self.labels[:count], votes=votes)


def load_labelled(path: Path, split: str, labelling: str = "fer") -> LabelledFaces:
    """Reads one split. A test split loses the images that are pixel-identical to a training image.

    Args:
        path: a `.npz` file, or a folder per class.
        split: `training`, `public` or `private`; `all` takes every image.
        labelling: of a `.npz`: `fer`, or `ferplus`, the class with most votes, without the images on which the
            raters are divided, or of which most say that they cannot tell or see no face. A folder has its own.

    Raises:
        ConfigurationError: the set is missing, truncated, not of its layout, or has no votes for `ferplus`.
    """
    for key, value, known in (("split", split, SPLITS), ("labels", labelling, tuple(LABELLINGS))):
        if value not in known:
            raise ConfigurationError(str(path), [Fault(key, f"is {value!r}, not one of {', '.join(known)}")])
    stored = _of_folder(path) if path.is_dir() else _of_archive(path, labelling)
    chosen = (stored.splits == SPLITS.index(split)) | (split == "all")
    left_out = {why: int((chosen & without).sum()) for why, without in stored.without.items()}
    keep = chosen & ~np.logical_or.reduce(list(stored.without.values()))
    if split in ("public", "private"):
        training = {image.tobytes() for image in stored.images[stored.splits == SPLITS.index("training")]}
        repeated = np.array([image.tobytes() in training for image in stored.images], np.bool_)
        left_out["pixel-identical to a training image"] = int((keep & repeated).sum())
        keep &= ~repeated
    if stored.unreadable:
        left_out["unreadable"] = len(stored.unreadable)
    return LabelledFaces(
        stored.images[keep],
        stored.labels[keep].astype(np.int64),
        stored.label_names,
        left_out,
        None if stored.votes is None else stored.votes[keep],
        stored.unreadable,
    )


def default_split(path: Path) -> str:
    """What an evaluation looks at unless it is told: the test split, and all of a folder that has no splits."""
    return "all" if path.is_dir() and not labelled_folder.has_splits(path) else "private"


@dataclass(frozen=True, slots=True)
class _Stored:
    """A whole set; `without` says why which images cannot be used."""

    images: Image
    labels: npt.NDArray[np.integer]
    splits: npt.NDArray[np.integer]
    label_names: tuple[str, ...]
    without: dict[str, npt.NDArray[np.bool_]]
    votes: Image | None = None
    unreadable: tuple[str, ...] = ()


def _of_folder(path: Path) -> _Stored:
    faces = labelled_folder.read_folder(path)
    usable = {"not a face": np.zeros(len(faces.labels), np.bool_)}
    return _Stored(
        faces.images, faces.labels, faces.splits, faces.label_names, usable, unreadable=faces.unreadable
    )


def _of_archive(path: Path, labelling: str) -> _Stored:
    images, labels, splits, exact, votes = _arrays(path)
    without = {"not a face": ~exact}
    if labelling == "ferplus":
        if votes is None:
            raise ConfigurationError(str(path), [Fault("votes", "is absent, and --labels ferplus needs it")])
        labels, divided = _majority(votes)
        without["without a majority for one expression"] = divided & exact
    return _Stored(images, labels, splits, LABELLINGS[labelling], without, votes)


def _majority(votes: Image) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """The class with most votes, and where there is none: a tie, or most say “unknown” or “not a face”."""
    most = votes.max(axis=1, keepdims=True)
    divided = ((votes == most).sum(axis=1) > 1) | (votes.argmax(axis=1) >= len(FERPLUS_LABELS))
    return votes[:, : len(FERPLUS_LABELS)].argmax(axis=1), divided


def _arrays(
    path: Path,
) -> tuple[Image, npt.NDArray[np.integer], npt.NDArray[np.integer], npt.NDArray[np.bool_], Image | None]:
    hint = "the layout is described in edge_runtime/faces/labelled.py"
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            images, labels, splits = archive["images"], archive["labels"], archive["split"]
            exact = archive["exact"] != 0 if "exact" in archive else np.ones(len(labels), np.bool_)
            votes = archive.get("votes")
    except FileNotFoundError as exc:
        raise ConfigurationError(str(path), [Fault("", "no such file")], hint=hint) from exc
    except KeyError as exc:
        raise ConfigurationError(str(path), [Fault("", f"lacks an array: {exc.args[0]}")], hint=hint) from exc
    except (OSError, TypeError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as exc:
        raise ConfigurationError(str(path), [Fault("", f"cannot be read as .npz: {exc}")], hint=hint) from exc
    if (
        images.ndim != 3
        or images.dtype != np.uint8
        or not len(images) == len(labels) == len(splits) == len(exact)
    ):
        found = f"images {images.shape} {images.dtype}, labels {labels.shape}, split {splits.shape}"
        raise ConfigurationError(str(path), [Fault("", f"arrays do not fit: {found}")], hint=hint)
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(FER_LABELS):
        raise ConfigurationError(
            str(path), [Fault("labels", f"outside of 0 … {len(FER_LABELS) - 1}")], hint=hint
        )
    if votes is not None and votes.shape != (len(labels), len(VOTE_COLUMNS)):
        problem = f"is {votes.shape}, not ({len(labels)}, {len(VOTE_COLUMNS)})"
        raise ConfigurationError(str(path), [Fault("votes", problem)], hint=hint)
    return images, labels, splits, exact, votes
