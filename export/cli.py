"""Commands of the workstation: `roomtone train` and `roomtone export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from edge_runtime.faces.labelled import load_labelled
from export.training.recipe import Recipe

train_app = typer.Typer()
_DEFAULT = Recipe()


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
    )


@train_app.command()
def train(
    architecture: Annotated[str, typer.Argument(metavar="ARCH", help="hafnet, hafnet_half")],
    data: Annotated[Path, typer.Option(help=".npz with images, labels and split, as FER2013's")],
    out: Annotated[Path, typer.Option(help="folder of the run; a run that was stopped goes on there")],
    template: Annotated[str, typer.Option(help="alignment template: p1, loose")] = _DEFAULT.template,
    epochs: Annotated[int, typer.Option(min=1, help="passes over the training split")] = _DEFAULT.epochs,
    batch_size: Annotated[int, typer.Option(min=2)] = _DEFAULT.batch_size,
    learning_rate: Annotated[float, typer.Option(min=0, help="peak of the schedule")] = _DEFAULT.learning_rate,
    seed: Annotated[int, typer.Option()] = _DEFAULT.seed,
    limit: Annotated[int | None, typer.Option(min=1, help="use only so many training images, for a trial")] = None,
) -> None:
    """Trains a network on crops that the device's own alignment cuts.

    roomtone train hafnet_half --data fer2013.npz --out runs/hafnet_half
    """
    import torch

    from export.training.curves import plot_curve
    from export.training.datasets import TrainingFaces, locate
    from export.training.trainer import Trainer

    recipe = Recipe(architecture, template, epochs, batch_size, learning_rate, seed=seed)
    splits: dict[str, TrainingFaces] = {}
    with _progress() as progress:
        for split in ("training", "public"):
            faces = load_labelled(data, split)
            if split == "training" and limit is not None:
                faces = faces.first(limit)
            task = progress.add_task(f"pupils, {split}", total=len(faces), note="")
            splits[split] = locate(faces, out / "located", lambda done, _, task=task: progress.update(task, completed=done))
            progress.update(task, completed=len(faces))
        trainer = Trainer(recipe, splits["training"], splits["public"], out)
        total = recipe.epochs * trainer.steps_per_epoch
        done = len(trainer.curve) * trainer.steps_per_epoch
        task = progress.add_task("training", total=total, completed=done, note="")
        checkpoint = trainer.run(
            lambda step, _, loss: progress.update(task, completed=step, note=f"loss {loss:.3f}"),
            lambda row: progress.console.print(
                f"epoch {row.epoch:3d}  loss {row.loss:.3f}  accuracy on the public split {row.accuracy:.3f}"
            ),
        )
    plot_curve(trainer.curve, out / "curve.png")
    typer.echo(f"{checkpoint}  (torch {torch.__version__}; curve in {out / 'curve.png'})")
