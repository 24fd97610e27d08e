"""`roomtone train stargan`: faces with other expressions, for the training of sequences."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_runtime.commands.progress import work_progress

if TYPE_CHECKING:
    from export.training.progress import EpochResult

_ROWS = 8  # faces of the picture


def train_stargan(
    data: Annotated[Path, typer.Option(help=".npz as FER2013's, or a folder per class")],
    out: Annotated[Path, typer.Option(help="folder of the run; a run that was stopped goes on there")],
    epochs: Annotated[int, typer.Option(min=1, help="of 100 steps each")] = 60,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="end after this much time, the schedule drawn out over it")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=2)] = 32,
    learning_rate: Annotated[float, typer.Option(min=0)] = 4e-4,
    width: Annotated[int, typer.Option(min=4, help="of the generator")] = 20,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    r"""Trains StarGAN (P3 §4): one face, seven expressions. Used by `roomtone train sequence --stargan`.

    After each epoch OUT/faces.png shows faces that it has not learned from, and what it makes of them: the face, then
    a column for each class. They are people of your data set: the picture is for you.

    \b
    roomtone train stargan --data fer2013.npz --out runs/stargan --minutes 60
    """
    import cv2

    from edge_runtime.faces.labelled import load_labelled
    from edge_runtime.faces.precut import align_precut
    from export.training.datasets import locate
    from export.training.sequences.sets import label_shares
    from export.training.stargan_trainer import TEMPLATE, StarGanRecipe, StarGanTrainer, sheet
    from export.training.watching import watched

    recipe = StarGanRecipe(epochs, 100, batch_size, learning_rate, width, seed=seed)
    with work_progress() as progress:
        sets = {split: load_labelled(data, split) for split in ("training", "public")}
        names = sets["training"].label_names
        faces = {}
        for split, labelled in sets.items():
            task = progress.add_task(f"pupils, {split}", total=len(labelled), note="")
            faces[split] = locate(
                labelled,
                out / "located",
                lambda done, total, task=task: progress.update(task, completed=done),  # type: ignore[misc]
            )
        shares = label_shares(faces["training"], names, 0.5)
        trainer = StarGanTrainer(recipe, (faces["training"], shares), faces["public"], out, names, minutes)
        rows = slice(0, _ROWS)
        shown = align_precut(faces["public"].images[rows], faces["public"].located.rows(rows), TEMPLATE)

        def show_faces(row: EpochResult) -> None:
            cv2.imwrite(str(out / "faces.png"), sheet(trainer.average, shown, len(names)))

        checkpoint = watched(trainer, progress, "read as asked for", after_epoch=show_faces)
    typer.echo(f"{checkpoint}  (faces in {out / 'faces.png'})")
