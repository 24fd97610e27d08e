"""A network's inputs, by the kinds that its bundle names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edge_runtime.features import hog, sift
from edge_runtime.frames.frame import Image

_MAKERS: Final[dict[str, Callable[[Image], npt.NDArray[np.float32]]]] = {"hog": hog.hog, "sift": sift.sift}
FEATURE_LENGTHS: Final = {"hog": hog.LENGTH, "sift": sift.LENGTH}
KINDS: Final = frozenset({"crop", *_MAKERS})


def make_inputs(wanted: Sequence[tuple[str, str]], crops: Image) -> dict[str, npt.NDArray[Any]]:
    """Everything that a network is fed for one batch.

    Args:
        wanted: (kind, name of the tensor) of each input.
        crops: (N, size, size) uint8.

    Returns:
        Tensor → (N, …) array; the crops themselves are not copied.
    """
    return {tensor: crops if kind == "crop" else _MAKERS[kind](crops) for kind, tensor in wanted}
