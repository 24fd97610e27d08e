"""The learning curve as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from export.training.progress import EpochResult


def plot_curve(curve: Sequence[EpochResult], path: Path, measure: str) -> None:
    """Draws the loss and what `accuracy` measures over the epochs into a PNG."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    left = figure.subplots()
    epochs = [row.epoch for row in curve]
    left.plot(epochs, [row.loss for row in curve], color="tab:orange")
    left.set(xlabel="epoch", ylabel="training loss")
    left.yaxis.label.set_color("tab:orange")
    right = left.twinx()
    right.plot(epochs, [row.accuracy for row in curve], color="tab:blue", marker="o", markersize=3)
    right.set_ylabel(measure, color="tab:blue")
    right.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
