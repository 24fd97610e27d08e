"""Temperature scaling (Guo et al. 2017 §4.2): one number that makes a network as sure as it is right.

Dividing all logits by it changes no decision. It is fitted on images that training never saw, by least
negative log-likelihood.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from calibration.metrics import Labels
from edge_runtime.errors import RoomtoneError
from edge_runtime.inference.engine import Logits

LOWEST: Final = 0.05
HIGHEST: Final = 20.0
_HALVINGS: Final = 60  # of the bracket: to the last digits of a float64


class TemperatureError(RoomtoneError):
    """No temperature within reason fits: the network is always right, or no better than chance."""

    exit_code = 16

    def __init__(self, bound: float, images: int) -> None:
        self.bound, self.images = bound, images
        reason = (
            "every image is right" if bound == LOWEST else "its confidence says nothing about being right"
        )
        super().__init__(
            f"the temperature of these {images} images runs to {bound:g}: {reason}",
            hint="fit on more images that training never saw, and check that their labels are the bundle's",
        )


def fit_temperature(logits: Logits, labels: Labels) -> float:
    """The temperature with the least negative log-likelihood.

    The likelihood is convex in 1 / T, so its slope is halved in upon.

    Args:
        logits: (N, K) before any temperature, N ≥ 1.
        labels: (N,).

    Raises:
        TemperatureError: the best temperature lies outside of 0.05 … 20.
    """
    exact = logits.astype(np.float64)
    own = exact[np.arange(len(labels)), labels]
    low, high = 1 / HIGHEST, 1 / LOWEST
    if _slope(exact, own, low) >= 0:
        raise TemperatureError(HIGHEST, len(labels))
    if _slope(exact, own, high) <= 0:
        raise TemperatureError(LOWEST, len(labels))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _slope(exact, own, middle) < 0:
            low = middle
        else:
            high = middle
    return 2 / (low + high)


def _slope(logits: npt.NDArray[np.float64], own: npt.NDArray[np.float64], inverse: float) -> float:
    """Derivative of the mean negative log-likelihood by 1 / T: expected logit minus the label's own."""
    scaled = inverse * logits
    weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    expected = (weights * logits).sum(axis=1) / weights.sum(axis=1)
    return float((expected - own).mean())
