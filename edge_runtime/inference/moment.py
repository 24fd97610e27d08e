"""What some faces cost at one moment of a camera, for those who measure: of a sequence, one new frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np
import numpy.typing as npt

from edge_runtime.frames.frame import Image
from edge_runtime.golden import Golden
from edge_runtime.inference.engine import NOTHING, Engine, Given, SequenceEngine


def one_moment(engine: Engine, crops: Image, given: Given = NOTHING) -> Callable[[], object]:
    """The work of one moment, ready to be done again and again.

    Args:
        engine: loaded.
        crops: (N, size, size) uint8, contiguous; of a sequence (N, M, size, size).
        given: kind → (N, …); of a sequence (N, M, …).

    Returns:
        A call that classifies all N faces. Of a sequence it encodes the newest crops and runs the head; the features
        of the frames before are there already, as in a track's ring buffer.

    Raises:
        EngineError: the engine failed on the frames before.
    """
    if crops.ndim == 3:
        return lambda: engine.logits(crops, given) if given else engine.logits(crops)
    return _of_sequences(cast("SequenceEngine", engine), crops, given)


def _of_sequences(engine: SequenceEngine, crops: Image, given: Given) -> Callable[[], object]:
    count, frames, size_px, _ = crops.shape
    flat = {kind: rows.reshape(count * frames, -1) for kind, rows in given.items()}
    known = engine.encode(crops.reshape(-1, size_px, size_px), flat).reshape(count, frames, -1)
    newest, beside = newest_frames(crops, given)

    def step() -> object:
        known[:, -1] = engine.encode(newest, beside)
        return engine.head(known)

    return step


def newest_frames(crops: Image, given: Given = NOTHING) -> tuple[Image, dict[str, npt.NDArray[np.float32]]]:
    """What a network of single crops, or the encoder of a sequence, sees at one moment; arguments as `one_moment`."""
    if crops.ndim == 3:
        return crops, dict(given)
    return np.ascontiguousarray(crops[:, -1]), {
        kind: np.ascontiguousarray(rows[:, -1]) for kind, rows in given.items()
    }


def repeated(golden: Golden, faces: int) -> tuple[Image, dict[str, npt.NDArray[np.float32]]]:
    """The golden inputs again and again until there are so many faces: crops, and what is given beside them."""
    rows = np.resize(np.arange(len(golden.crops)), faces)
    return golden.crops[rows], {kind: values[rows] for kind, values in golden.given.items()}
