"""Pre-cut faces as a folder per class: `FOLDER/happy/0001.png`, or with splits, `FOLDER/training/happy/0001.png`.

Names of classes are matched with the project's own (`Happiness` is `happy`); others are taken as they are. Without
split folders an image's own pixels decide its split, eight tenths training, one public, one private: the same in
every run, for copies of one image too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.errors import ConfigurationError, Fault, FrameError
from edge_runtime.frames.frame import Image
from edge_runtime.frames.pixels import read_image

SPLITS: Final = {"training": 0, "public": 1, "private": 2}
_SPLIT_FOLDERS: Final = {
    "training": 0, "train": 0, "public": 1, "validation": 1, "valid": 1, "val": 1, "private": 2, "test": 2,
}  # fmt: skip
_CLASS_NAMES: Final = {
    "anger": "angry", "disgusted": "disgust", "fearful": "fear", "happiness": "happy", "sadness": "sad",
    "surprised": "surprise",
}  # fmt: skip
_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
_LARGEST_SIDE_PX: Final = 128  # an aligned crop takes 96 px from a little less than the whole cut


@dataclass(frozen=True, slots=True)
class FolderFaces:
    """All images of a folder that could be read.

    Attributes:
        images: (N, side, side) uint8 grey; smaller ones are enlarged to the largest, with their border continued
            where they are not square.
        labels: (N,) int64 indices into `label_names`.
        splits: (N,) int64, values of `SPLITS`.
        label_names: classes that have a folder, sorted.
        unreadable: files that are no image, relative to the folder.
    """

    images: Image
    labels: npt.NDArray[np.int64]
    splits: npt.NDArray[np.int64]
    label_names: tuple[str, ...]
    unreadable: tuple[str, ...]


def has_splits(folder: Path) -> bool:
    """Whether the folder's sub-folders are splits, and not classes."""
    return any(child.name.lower() in _SPLIT_FOLDERS for child in _folders(folder))


def read_folder(folder: Path) -> FolderFaces:
    """Reads every image of every class.

    Raises:
        ConfigurationError: there is no class folder, or a class has no image that can be read; all are named.
    """
    rows: list[tuple[Image, str, int]] = []
    unreadable: list[str] = []
    found: dict[str, list[Path]] = {}
    for class_folder, split in _class_folders(folder):
        name = _class_name(class_folder)
        found.setdefault(name, []).append(class_folder)
        for file in sorted(class_folder.rglob("*")):
            if file.suffix.lower() not in _SUFFIXES or not file.is_file():
                continue
            try:
                image = np.asarray(cv2.cvtColor(read_image(file), cv2.COLOR_BGR2GRAY), np.uint8)
            except FrameError:
                unreadable.append(str(file.relative_to(folder)))
                continue
            rows.append((image, name, _by_digest(image) if split is None else split))
    _check(folder, found, {name for _, name, _ in rows}, len(unreadable))
    names = tuple(sorted(found))
    side = min(_LARGEST_SIDE_PX, max(max(image.shape) for image, _, _ in rows))
    return FolderFaces(
        np.stack([_square(image, side) for image, _, _ in rows]),
        np.array([names.index(name) for _, name, _ in rows], np.int64),
        np.array([split for _, _, split in rows], np.int64),
        names,
        tuple(unreadable),
    )


def _class_folders(folder: Path) -> Iterator[tuple[Path, int | None]]:
    """Each class folder with the split that it stands in; None where the images' own pixels decide."""
    if not has_splits(folder):
        yield from ((child, None) for child in _folders(folder))
        return
    for child in _folders(folder):
        split = _SPLIT_FOLDERS.get(child.name.lower())
        if split is not None:
            yield from ((grandchild, split) for grandchild in _folders(child))


def _folders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))


def _class_name(folder: Path) -> str:
    name = folder.name.lower().replace(" ", "-")
    return _CLASS_NAMES.get(name, name)


def _check(folder: Path, found: dict[str, list[Path]], filled: set[str], unreadable: int) -> None:
    hint = "one folder per class, with .jpg, .png, .bmp or .webp images of one face each"
    if not found:
        raise ConfigurationError(str(folder), [Fault("", "holds no class folders")], hint=hint)
    faults = [
        Fault(name, f"holds no image that can be read ({', '.join(str(place) for place in places)})")
        for name, places in found.items()
        if name not in filled
    ]
    if faults:
        raise ConfigurationError(str(folder), faults, hint=f"{hint}; {unreadable} files could not be read")


def _by_digest(image: Image) -> int:
    tenth = hashlib.sha256(image.tobytes()).digest()[0] * 10 // 256
    return SPLITS["training"] if tenth < 8 else SPLITS["public"] if tenth == 8 else SPLITS["private"]


def _square(image: Image, side: int) -> Image:
    height, width = image.shape
    longest = max(height, width)
    top, left = (longest - height) // 2, (longest - width) // 2
    padded = cv2.copyMakeBorder(
        image, top, longest - height - top, left, longest - width - left, cv2.BORDER_REPLICATE
    )
    how = cv2.INTER_AREA if longest > side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(padded, (side, side), interpolation=how), np.uint8)
