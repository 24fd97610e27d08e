"""From crops to calibrated class probabilities, in batches."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_runtime.errors import EngineError
from edge_runtime.frames.frame import Image
from edge_runtime.inference.engine import Engine, Logits

Probabilities = npt.NDArray[np.float32]


def softmax(logits: Logits, temperature: float) -> Probabilities:
    """Softmax of logits divided by the bundle's temperature (Guo et al. 2017, eq. 9).

    Args:
        logits: (N, K) float32.
        temperature: > 0.

    Returns:
        (N, K) float32, rows sum to 1.
    """
    scaled = logits / np.float32(temperature)
    scaled -= scaled.max(axis=1, keepdims=True)
    np.exp(scaled, out=scaled)
    scaled /= scaled.sum(axis=1, keepdims=True)
    return scaled


class Classifier:
    """Runs all faces of the moment in as few engine calls as `max_batch` allows.

    Args:
        engine: a loaded network.
        temperature: of the bundle.
        classes: number of labels.
        max_batch: faces in one call.
    """

    def __init__(self, engine: Engine, *, temperature: float, classes: int, max_batch: int) -> None:
        self._engine, self._temperature = engine, temperature
        self._classes, self._max_batch = classes, max_batch

    def probabilities(self, crops: Image) -> Probabilities:
        """(N, size, size) uint8 → (N, K) float32; N may be 0.

        Raises:
            EngineError: the engine failed, or gave a logit that is no number.
        """
        count = len(crops)
        if count == 0:
            return np.empty((0, self._classes), np.float32)
        starts = range(0, count, self._max_batch)
        logits = [self._engine.logits(crops[start : start + self._max_batch]) for start in starts]
        joined = logits[0] if len(logits) == 1 else np.concatenate(logits)
        if not np.isfinite(joined).all():  # one such would stay in a track's running average for ever
            raise EngineError("the network gave a logit that is not finite", hint="try another precision")
        return softmax(joined, self._temperature)
