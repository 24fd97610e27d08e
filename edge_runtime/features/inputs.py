"""A network's inputs, by the kinds that its bundle names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edge_runtime.faces.alignment import AlignmentTemplate
from edge_runtime.features import hog, landmark_distances, lbp, sift
from edge_runtime.frames.frame import Image

_MAKERS: Final[dict[str, Callable[[Image], npt.NDArray[np.float32]]]] = {"hog": hog.hog, "sift": sift.sift}
# Not seen in the crop: of points that were found in the frame.
GIVEN: Final = frozenset({"landmark_distances"})
FEATURE_LENGTHS: Final = {
    "hog": hog.LENGTH,
    "sift": sift.LENGTH,
    "lbp": lbp.LENGTH,
    "landmark_distances": landmark_distances.LENGTH,
}
KINDS: Final = frozenset({"crop", *FEATURE_LENGTHS})


def make_inputs(
    wanted: Sequence[tuple[str, str]],
    crops: Image,
    template: AlignmentTemplate | None = None,
    given: Mapping[str, npt.NDArray[np.float32]] = MappingProxyType({}),
) -> dict[str, npt.NDArray[Any]]:
    """Everything that a network is fed for one batch.

    Args:
        wanted: (kind, name of the tensor) of each input.
        crops: (N, size, size) uint8.
        template: that they were cut by; `lbp` needs it.
        given: kind → (N, …) of what is not made of crops, `landmark_distances`.

    Returns:
        Tensor → (N, …) array; crops and what is given are not copied.

    Raises:
        ValueError: something that a kind needs is not given.
    """
    return {tensor: _make(kind, crops, template, given) for kind, tensor in wanted}


def _make(
    kind: str,
    crops: Image,
    template: AlignmentTemplate | None,
    given: Mapping[str, npt.NDArray[np.float32]],
) -> npt.NDArray[Any]:
    if kind == "crop":
        return crops
    if kind == "lbp":
        if template is None:
            raise ValueError("lbp needs the template that the crops were cut by")
        return lbp.lbp(crops, template)
    if kind in GIVEN:
        if kind not in given:
            raise ValueError(f"{kind} cannot be made of crops, and are not given")
        return given[kind]
    return _MAKERS[kind](crops)
