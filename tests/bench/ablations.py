"""P4's and P5's ablations on FER2013, every row trained with the same small budget.

    .venv/bin/python tests/bench/ablations.py --data fer2013.npz --out runs/ablations [--epochs 5] [--only fusion]

Labels alone (no votes, no teacher), crops of 48 px, one seed. The public split is looked at while it trains, the
private one once, at the end. A run that was stopped goes on where it was; rows that are finished are read.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from calibration.metrics import Metrics, measure
from edge_runtime.faces.alignment import TEMPLATES
from edge_runtime.faces.labelled import FER_LABELS, load_labelled
from edge_runtime.faces.precut import align_precut
from export.architectures import configure
from export.cost import measure_cost
from export.deploy import network_inputs
from export.training.datasets import TrainingFaces, locate
from export.training.recipe import Recipe
from export.training.trainer import Trainer

SIZE_PX, BATCH = 48, 256
SMALL: dict[str, int | float | str] = {"width": 20}  # of P4's networks
HEADS: dict[str, int | float | str] = {"width": 20, "last_stride": 1}  # of P5's
PLAIN = HEADS | {"affinity_weight": 0, "partition_weight": 0}


@dataclass(frozen=True)
class Row:
    """One run; `paper` is what the paper says of it, in per cent, of its own data."""

    name: str
    what: str
    architecture: str
    changes: dict[str, int | float | str]
    paper: float | None = None

    def recipe(self, epochs: int) -> Recipe:
        return Recipe(
            self.architecture,
            self.changes,
            epochs=epochs,
            early_size_px=SIZE_PX,
            early_share=1.0,
            votes_weight=0.0,
        )


ROWS = (
    Row("cnn", "P4 Table 3: CNN", "fusion_cnn", {}, 77.72),
    Row("hog", "P4 Table 3: HOG", "fusion_hog", {}, 72.01),
    Row("sift", "P4 Table 3: SIFT", "fusion_sift", {}, 63.12),
    Row("fusion", "P4 Table 3: all three", "fusion", {}, 81.89),
    Row("resnet18", "P4 Table 7: ResNet18", "resnet18", SMALL, 79.95),
    Row("se_resnet18", "P4 Table 7: SE-ResNet18", "se_resnet18", SMALL, 82.57),
    Row("drsn18", "P4 Table 7: DRSN18", "drsn18", SMALL, 84.12),
    Row("cross_entropy", "P5 §6.2: cross-entropy", "hafnet", PLAIN, 88.17),
    Row("centre", "P5 §6.2: centre loss", "hafnet", PLAIN | {"centre_weight": 0.003}, 88.91),
    Row("affinity", "P5 §6.2: affinity loss", "hafnet", HEADS | {"partition_weight": 0}, 89.70),
    Row("heads_4", "P5: affinity and partition loss, 4 heads", "hafnet", HEADS, 89.70),
    Row("heads_1", "P5 §6.2: 1 head", "hafnet", HEADS | {"heads": 1}),
    Row("heads_2", "P5 §6.2: 2 heads", "hafnet", HEADS | {"heads": 2}),
    Row("heads_8", "P5 §6.2: 8 heads", "hafnet", HEADS | {"heads": 8}),
)


def main() -> None:
    """Trains the rows one after the other and prints a table of those that are done."""
    options = argparse.ArgumentParser()
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--out", type=Path, required=True, help="folder of the runs")
    options.add_argument("--epochs", type=int, default=5)
    options.add_argument("--only", nargs="*", choices=[row.name for row in ROWS], help="some of the rows")
    given = options.parse_args()
    splits = {
        split: locate(load_labelled(given.data, split), given.out / "located")
        for split in ("training", "public", "private")
    }
    print("| network | parameters | public | private | macro-F1 | the paper, on its own data |")
    print("|---|---|---|---|---|---|")
    for row in ROWS:
        if given.only is None or row.name in given.only:
            print(told(row, result_of(row, splits, given.out / row.name, given.epochs)), flush=True)


def result_of(row: Row, splits: dict[str, TrainingFaces], folder: Path, epochs: int) -> dict[str, float]:
    """Trains and measures one row, unless that was done before."""
    file = folder / f"result-{epochs}.json"
    if not file.exists():
        trainer = Trainer(row.recipe(epochs), splits["training"], splits["public"], folder)
        trainer.run(lambda now: None, lambda result: None)
        figures = private_figures(trainer, splits["private"])
        crops = np.zeros((1, SIZE_PX, SIZE_PX), np.uint8)
        inputs = configure(row.architecture, 7, row.changes).inputs
        result = {
            "parameters": measure_cost(trainer.network.cpu(), *network_inputs(inputs, crops)).parameters,
            "public": trainer.curve[-1].accuracy,
            "private": figures.accuracy,
            "low": figures.accuracy_low,
            "high": figures.accuracy_high,
            "macro_f1": figures.macro_f1,
        }
        file.write_text(json.dumps(result, indent=2), encoding="utf-8")
    stored: dict[str, float] = json.loads(file.read_text(encoding="utf-8"))
    return stored


@torch.inference_mode()
def private_figures(trainer: Trainer, faces: TrainingFaces) -> Metrics:
    """Of the averaged weights, at the size that they were trained at."""
    recipe = trainer.recipe
    inputs = configure(recipe.architecture, len(FER_LABELS), recipe.changes).inputs
    template = TEMPLATES[recipe.template].resized(SIZE_PX)
    network, parts = trainer.average.cpu().eval(), []
    for start in range(0, len(faces.labels), BATCH):
        rows = slice(start, start + BATCH)
        crops = align_precut(faces.images[rows], faces.located.rows(rows), template)
        parts.append(network(*network_inputs(inputs, crops)).logits.softmax(dim=1).numpy())
    return measure(np.concatenate(parts), faces.labels, FER_LABELS)


def told(row: Row, result: dict[str, float]) -> str:
    """A row of the table in docs/models.md."""
    paper = "–" if row.paper is None else f"{row.paper:.2f} %"
    return (
        f"| {row.what} | {result['parameters'] / 1e6:.2f} M | {result['public']:.1%} "
        f"| {result['private']:.1%} ({100 * result['low']:.1f} to {100 * result['high']:.1f}) "
        f"| {result['macro_f1']:.3f} | {paper} |"
    )


if __name__ == "__main__":
    main()
