"""How good predictions are: accuracy with its interval, each class, and whether the confidence is honest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]
Counts = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32] | npt.NDArray[np.float64]

BINS: Final = 15  # Guo et al. 2017 §2
_Z_95: Final = 1.959963984540054  # 97.5 % quantile of the normal distribution


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """One class; precision, recall and F1 in [0, 1], 0 where they are 0 / 0.

    Attributes:
        images: that are labelled so.
        predicted: that are predicted so.
    """

    name: str
    images: int
    predicted: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Metrics:
    """Quality on one labelled set.

    Attributes:
        images: how many were measured.
        accuracy: share that was right.
        accuracy_low, accuracy_high: 95 % Wilson interval.
        macro_f1: mean F1 over the classes that are labelled or predicted at least once.
        expected_calibration_error: over 15 bins of confidence.
        negative_log_likelihood: mean, in nats.
        classes: in the order of the labels.
        confusion: (K, K), rows are labels, columns predictions.
    """

    images: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    macro_f1: float
    expected_calibration_error: float
    negative_log_likelihood: float
    classes: tuple[ClassMetrics, ...]
    confusion: Counts

    def to_json(self) -> dict[str, Any]:
        """As plain types."""
        return {
            "images": self.images,
            "accuracy": self.accuracy,
            "accuracy_interval_95": [self.accuracy_low, self.accuracy_high],
            "macro_f1": self.macro_f1,
            "expected_calibration_error": self.expected_calibration_error,
            "negative_log_likelihood": self.negative_log_likelihood,
            "classes": {
                row.name: {
                    "images": row.images,
                    "predicted": row.predicted,
                    "precision": row.precision,
                    "recall": row.recall,
                    "f1": row.f1,
                }
                for row in self.classes
            },
            "confusion": self.confusion.tolist(),
        }


def measure(probabilities: FloatArray, labels: Labels, names: tuple[str, ...]) -> Metrics:
    """Measures everything.

    Args:
        probabilities: (N, K), rows sum to 1, N ≥ 1.
        labels: (N,) in 0 … K−1.
        names: K names.

    Raises:
        ValueError: nothing to measure, or shapes do not fit.
    """
    if probabilities.shape != (len(labels), len(names)) or len(labels) == 0:
        raise ValueError(f"probabilities {probabilities.shape}, labels {labels.shape}, {len(names)} names")
    confusion = confusion_matrix(labels, probabilities.argmax(axis=1), len(names))
    right = int(confusion.trace())
    low, high = wilson_interval(right, len(labels))
    classes = class_metrics(confusion, names)
    occurring = [row.f1 for row in classes if row.images or row.predicted]
    own = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return Metrics(
        images=len(labels),
        accuracy=right / len(labels),
        accuracy_low=low,
        accuracy_high=high,
        macro_f1=sum(occurring) / len(occurring),
        expected_calibration_error=expected_calibration_error(probabilities, labels),
        negative_log_likelihood=float(-np.log(np.maximum(own, np.finfo(np.float64).tiny)).mean()),
        classes=classes,
        confusion=confusion,
    )


def wilson_interval(successes: int, trials: int, z: float = _Z_95) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927): never outside of [0, 1], right for small numbers too.

    Args:
        successes: 0 … trials.
        trials: at least 1.
        z: quantile of the normal distribution; 1.96 gives 95 %.

    Raises:
        ValueError: the counts are impossible.
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"{successes} of {trials} is no share")
    share, weight = successes / trials, z * z / trials
    middle = share + weight / 2
    half = z * math.sqrt(share * (1 - share) / trials + weight / (4 * trials))
    # At the ends the exact value is 0 or 1, which rounding would miss.
    low = 0.0 if successes == 0 else (middle - half) / (1 + weight)
    high = 1.0 if successes == trials else (middle + half) / (1 + weight)
    return low, high


def confusion_matrix(labels: Labels, predictions: npt.NDArray[np.integer], classes: int) -> Counts:
    """(classes, classes) counts: rows are labels, columns predictions."""
    cells = np.bincount(labels * classes + predictions, minlength=classes * classes)
    return cells.reshape(classes, classes).astype(np.int64)


def class_metrics(confusion: Counts, names: tuple[str, ...]) -> tuple[ClassMetrics, ...]:
    """Precision, recall and F1 of each class, from a confusion matrix."""
    labelled, predicted, right = confusion.sum(axis=1), confusion.sum(axis=0), confusion.diagonal()
    return tuple(
        ClassMetrics(
            name,
            int(labelled[k]),
            int(predicted[k]),
            precision=float(right[k] / max(predicted[k], 1)),
            recall=float(right[k] / max(labelled[k], 1)),
            f1=float(2 * right[k] / max(labelled[k] + predicted[k], 1)),
        )
        for k, name in enumerate(names)
    )


def expected_calibration_error(probabilities: FloatArray, labels: Labels, bins: int = BINS) -> float:
    """Mean gap between confidence and accuracy over equally wide bins of confidence (Guo et al. 2017, eq. 3).

    Args:
        probabilities: (N, K), N ≥ 1.
        labels: (N,).
        bins: M intervals ((m − 1) / M, m / M].
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    # Open on the left, so that a confidence of exactly m / M belongs to bin m; rounding must not move it up.
    member = np.clip(np.ceil(confidence * bins - 1e-9).astype(np.int64) - 1, 0, bins - 1)
    gap = np.bincount(member, weights=right - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(labels))
