"""Labelled sets of pre-cut faces: what training, calibration and evaluation all read, through one reader.

The `.npz` layout is FER2013's as a numpy archive: `images (N, H, W) uint8`, `labels (N,)`, `split (N,)` with
0 training, 1 public test, 2 private test, and optionally `exact (N,)`, 0 for images that are known not to be
faces.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from edge_runtime.errors import ConfigurationError, Fault
from edge_runtime.frames.frame import Image

FER_LABELS: Final = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
SPLITS: Final = {"training": 0, "public": 1, "private": 2}


@dataclass(frozen=True, slots=True)
class LabelledFaces:
    """One split of a labelled set.

    Attributes:
        images: (N, H, W) uint8 grey, as cut by the set's makers.
        labels: (N,) int64 indices into `label_names`.
        label_names: names in order.
        left_out: reason → number of images of this split that were dropped.
    """

    images: Image
    labels: npt.NDArray[np.int64]
    label_names: tuple[str, ...]
    left_out: dict[str, int]

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> LabelledFaces:
        """The first `count` images, for trials."""
        return LabelledFaces(self.images[:count], self.labels[:count], self.label_names, self.left_out)


def load_labelled(path: Path, split: str) -> LabelledFaces:
    """Reads one split. A test split loses the images that are pixel-identical to a training image.

    Args:
        path: the `.npz` file.
        split: `training`, `public` or `private`.

    Raises:
        ConfigurationError: the file is missing, truncated, or not of this layout.
    """
    if split not in SPLITS:
        raise ConfigurationError(str(path), [Fault("split", f"is {split!r}, not one of {', '.join(SPLITS)}")])
    images, labels, splits, exact = _arrays(path)
    chosen = splits == SPLITS[split]
    keep = chosen & exact
    left_out = {"not a face": int((chosen & ~exact).sum())}
    if split != "training":
        training = {image.tobytes() for image in images[splits == SPLITS["training"]]}
        repeated = np.array([image.tobytes() in training for image in images])
        left_out["pixel-identical to a training image"] = int((keep & repeated).sum())
        keep &= ~repeated
    return LabelledFaces(images[keep], labels[keep].astype(np.int64), FER_LABELS, left_out)


def _arrays(
    path: Path,
) -> tuple[Image, npt.NDArray[np.integer], npt.NDArray[np.integer], npt.NDArray[np.bool_]]:
    hint = "the layout is described in edge_runtime/faces/labelled.py"
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            images, labels, splits = archive["images"], archive["labels"], archive["split"]
            exact = archive["exact"] != 0 if "exact" in archive else np.ones(len(labels), np.bool_)
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
    return images, labels, splits, exact
