"""Pictures: confusion matrices, accuracy against latency, layers by sensitivity, reliability, chosen faces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from calibration.metrics import BINS, FloatArray, Labels, Metrics
from calibration.outcome import Quantization
from calibration.samples import CalibrationSet
from calibration.sensitivity import LayerSensitivity
from edge_runtime.errors import MissingExtraError

_DPI: Final = 120
_SHEET_COLUMNS: Final = 20
_CEILING_DB: Final = 90.0  # where a layer's noise is nothing, its bar ends


def plot_confusion(metrics: Metrics, title: str, path: Path) -> None:
    """Draws the confusion matrix into an image file; colours show the share of each row, numbers the images.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure = _figure(1.6 + 0.7 * len(metrics.classes), 1.2 + 0.7 * len(metrics.classes))
    _draw_confusion(figure.subplots(), metrics, title)
    figure.savefig(path, dpi=_DPI)


def plot_confusions(before: Metrics, after: Metrics, titles: tuple[str, str], path: Path) -> None:
    """Two confusion matrices side by side."""
    side = 1.4 + 0.65 * len(before.classes)
    figure = _figure(2 * side, side)
    for axes, metrics, title in zip(figure.subplots(1, 2), (before, after), titles, strict=True):
        _draw_confusion(axes, metrics, title)
    figure.savefig(path, dpi=_DPI)


def plot_accuracy_latency(found: Quantization, path: Path) -> None:
    """Each variant by its time a face at batch 8 and its accuracy with 95 % interval; hollow where it is left out."""
    figure = _figure(7, 4.5)
    axes = figure.subplots()
    for result in found.results:
        if (measured := result.variant.measured) is None:
            continue
        ms, accuracy = measured.ms_batch_8 / 8, 100 * measured.accuracy
        reach = [[accuracy - 100 * measured.accuracy_low], [100 * measured.accuracy_high - accuracy]]
        axes.errorbar(
            ms,
            accuracy,
            yerr=reach,
            fmt="o",
            mfc=None if result.is_offered else "white",
            capsize=3,
            label=result.name,
        )
    axes.set(
        xlabel="ms a face, batch 8, one thread", ylabel="accuracy, %, with 95 % interval", title=found.cpu
    )
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=_DPI)


def plot_sensitivity(ranking: Sequence[LayerSensitivity], kept: frozenset[str], path: Path) -> None:
    """A bar for each layer, the worst on top; those in `kept` stay in float."""
    figure = _figure(7, 1 + 0.2 * len(ranking))
    axes = figure.subplots()
    colours = ["tab:red" if row.layer.node in kept else "tab:blue" for row in ranking]
    axes.barh(range(len(ranking)), [min(row.snr_db, _CEILING_DB) for row in ranking], color=colours)
    axes.set_yticks(range(len(ranking)), [row.layer.title for row in ranking], fontsize=7)
    axes.invert_yaxis()
    axes.set(
        xlabel="signal-to-noise of the logits, dB, when only this layer is INT8", title="red stays in float"
    )
    figure.savefig(path, dpi=_DPI)


def plot_reliability(curves: Sequence[tuple[str, FloatArray, Labels]], path: Path) -> None:
    """Accuracy over confidence, as in Guo et al. 2017, figure 1; on the diagonal confidence is honest.

    Args:
        curves: (name, (N, K) probabilities, (N,) labels).
        path: of the picture.
    """
    figure = _figure(5, 5)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--")
    for name, probabilities, labels in curves:
        confidence, accuracy = _reliability(probabilities, labels)
        axes.plot(confidence, accuracy, marker="o", label=name)
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    axes.legend()
    figure.savefig(path, dpi=_DPI)


def plot_contact_sheet(samples: CalibrationSet, path: Path) -> None:
    """All chosen crops, a class after the other. Only for the faces of a public data set."""
    rows = -(-len(samples.crops) // _SHEET_COLUMNS)
    size = samples.crops.shape[1]
    padded = np.zeros((rows * _SHEET_COLUMNS, size, size), np.uint8)
    padded[: len(samples.crops)] = samples.crops
    sheet = padded.reshape(rows, _SHEET_COLUMNS, size, size).swapaxes(1, 2).reshape(rows * size, -1)
    path.write_bytes(cv2.imencode(".png", sheet)[1].tobytes())


def _reliability(
    probabilities: FloatArray, labels: Labels
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean confidence and accuracy of each bin that has images."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    member = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    count = np.bincount(member, minlength=BINS)
    sums = (np.bincount(member, weights=values, minlength=BINS) for values in (confidence, right))
    first, second = (total[count > 0] / count[count > 0] for total in sums)
    return first, second


def _figure(width: float, height: float) -> Any:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as exc:
        raise MissingExtraError("matplotlib", "calibrate") from exc
    return Figure(figsize=(width, height), layout="constrained")


def _draw_confusion(axes: Any, metrics: Metrics, title: str) -> None:
    names = [row.name for row in metrics.classes]
    shares = metrics.confusion / metrics.confusion.sum(axis=1, keepdims=True).clip(min=1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(title=title, xlabel="predicted", ylabel="labelled")
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    for (row, column), count in ((cell, metrics.confusion[cell]) for cell in _cells(len(names))):
        ink = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=ink, fontsize=9)


def _cells(size: int) -> list[tuple[int, int]]:
    return [(row, column) for row in range(size) for column in range(size)]
