"""The confusion matrix as a picture."""

from __future__ import annotations

from pathlib import Path

from calibration.metrics import Metrics
from edge_runtime.errors import MissingExtraError


def plot_confusion(metrics: Metrics, title: str, path: Path) -> None:
    """Draws the confusion matrix into an image file; colours show the share of each row, numbers the images.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as exc:
        raise MissingExtraError("matplotlib", "calibrate") from exc
    names = [row.name for row in metrics.classes]
    shares = metrics.confusion / metrics.confusion.sum(axis=1, keepdims=True).clip(min=1)
    figure = Figure(figsize=(1.6 + 0.7 * len(names), 1.2 + 0.7 * len(names)), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(title=title, xlabel="predicted", ylabel="labelled")
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axes.set_yticks(range(len(names)), names)
    for (row, column), count in ((cell, metrics.confusion[cell]) for cell in _cells(len(names))):
        ink = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=ink, fontsize=9)
    figure.savefig(path, dpi=120)


def _cells(size: int) -> list[tuple[int, int]]:
    return [(row, column) for row in range(size) for column in range(size)]
