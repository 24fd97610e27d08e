"""From crops to calibrated class probabilities, in batches."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_runtime.errors import EngineError
from edge_runtime.frames.frame import Image
from edge_runtime.inference.engine import Dimensions, Engine, Logits

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


def checked(logits: Logits, dimensions: Dimensions) -> tuple[Logits, Dimensions]:
    """What a network gave, the dimensions cut to [−1, 1].

    Raises:
        EngineError: something of it is no number.
    """
    # One such would stay in a track's running average for ever.
    if not (np.isfinite(logits).all() and np.isfinite(dimensions).all()):
        raise EngineError("the network gave a logit that is not finite", hint="try another precision")
    return logits, dimensions.clip(-1, 1)


class Classifier:
    """Runs all faces of the moment in as few engine calls as `max_batch` allows.

    Args:
        engine: a loaded network.
        temperature: of the bundle.
        classes: number of labels.
        max_batch: faces in one call.
        dimensions: how many numbers the network measures beside the classes.
    """

    def __init__(
        self, engine: Engine, *, temperature: float, classes: int, max_batch: int, dimensions: int = 0
    ) -> None:
        self._engine, self._temperature = engine, temperature
        self._classes, self._max_batch, self._dimensions = classes, max_batch, dimensions

    def probabilities(self, crops: Image) -> Probabilities:
        """(N, size, size) uint8 → (N, K) float32; N may be 0.

        Raises:
            EngineError: the engine failed, or gave a logit that is no number.
        """
        return self.read(crops)[0]

    def read(self, crops: Image) -> tuple[Probabilities, Dimensions]:
        """(N, size, size) uint8 → (N, K) and (N, D) float32, the latter in [−1, 1]; N and D may be 0.

        Raises:
            EngineError: the engine failed, or gave something that is no number.
        """
        batches = [crops[start : start + self._max_batch] for start in range(0, len(crops), self._max_batch)]
        if not batches:
            return np.empty((0, self._classes), np.float32), np.empty((0, self._dimensions), np.float32)
        if self._dimensions:
            found, measured = zip(*(self._engine.outputs(batch) for batch in batches), strict=True)
            dimensions = np.concatenate(measured)
        else:
            found = tuple(self._engine.logits(batch) for batch in batches)
            dimensions = np.empty((len(crops), 0), np.float32)
        logits = found[0] if len(found) == 1 else np.concatenate(found)
        logits, dimensions = checked(logits, dimensions)
        return softmax(logits, self._temperature), dimensions
