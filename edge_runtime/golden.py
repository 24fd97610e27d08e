"""Golden outputs: what a network must give on any CPU, for inputs that its file holds beside them."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from edge_runtime.errors import BundleError
from edge_runtime.features import FEATURE_LENGTHS
from edge_runtime.frames.frame import Image

GOLDEN: Final = "golden.npz"


@dataclass(frozen=True, slots=True)
class Golden:
    """What the network must give.

    Attributes:
        crops: (n, size, size) uint8; of a sequence (n, M, size, size), the oldest frame first.
        logits: (n, K) float32, computed by the trained network itself in float32.
        tolerances: precision → largest absolute difference of a logit that is accepted.
        given: kind → (n, M, …) float32 of inputs that are not made of crops; often nothing.
    """

    crops: Image
    logits: npt.NDArray[np.float32]
    tolerances: dict[str, float]
    given: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)


def read_golden(
    folder: Path,
    *,
    shape: tuple[int, ...],
    columns: int,
    precisions: Set[str],
    given: Sequence[str] = (),
) -> Golden:
    """Reads `golden.npz`.

    Args:
        folder: of the network.
        shape: of one crop, or of one sequence of them.
        columns: numbers that it gives for one.
        precisions: of its variants; each must have a tolerance.
        given: kinds of its inputs that are not made of crops.

    Raises:
        BundleError: it cannot be read, or is another network's.
    """
    try:
        # Opened here, since `np.load` leaves a file open that turns out to be no archive.
        with (folder / GOLDEN).open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            crops, logits = archive["crops"], archive["logits"]
            tolerances = {
                name.removeprefix("tolerance_"): float(archive[name])
                for name in archive.files
                if name.startswith("tolerance_")
            }
            beside = {kind: archive[kind] for kind in given}
    except (KeyError, TypeError, ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as exc:
        raise BundleError(folder, f"{GOLDEN} cannot be used: {exc}", hint="export the bundle again") from exc
    crops_fit = crops.dtype == np.uint8 and crops.shape[1:] == shape and len(crops) > 0
    if not crops_fit or logits.dtype.kind != "f" or logits.shape != (len(crops), columns):
        raise BundleError(
            folder,
            f"{GOLDEN} holds crops {crops.shape} {crops.dtype} and logits {logits.shape} {logits.dtype}, the "
            f"manifest wants at least one crop {'×'.join(map(str, shape))} uint8 and float logits of {columns} labels",
            hint="export the bundle again",
        )
    for kind, rows in beside.items():
        if rows.dtype.kind != "f" or rows.shape != (len(crops), *shape[:-2], FEATURE_LENGTHS[kind]):
            raise BundleError(
                folder,
                f"{GOLDEN} holds {kind} {rows.shape} {rows.dtype}, which do not fit its crops",
                hint="export the bundle again",
            )
    untold = precisions - set(tolerances)
    if untold:
        raise BundleError(
            folder,
            f"{GOLDEN} has no tolerance for {', '.join(sorted(untold))}",
            hint="export the bundle again",
        )
    beside = {kind: rows.astype(np.float32) for kind, rows in beside.items()}
    return Golden(crops, logits.astype(np.float32), tolerances, beside)
