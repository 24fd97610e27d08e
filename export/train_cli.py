"""`roomtone train NETWORK`: the papers' networks of single faces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from edge_runtime.commands.progress import work_progress
from edge_runtime.faces.labelled import LabelledFaces, load_labelled
from export.training.augmentation import Augmentation
from export.training.options import changes_of
from export.training.recipe import Recipe

if TYPE_CHECKING:
    from export.training.datasets import TrainingFaces

_DEFAULT = Recipe()
_SCHEDULE, _TARGETS, _AUGMENTATION = "Schedule", "What is learned", "Augmentation"  # panels of the help
# Written out, since listing export.architectures would load torch for a --help.
NETWORKS: Final = (
    "lip_resnet18 (P2), fusion[_cnn|_hog|_sift], resnet18, se_resnet18, drsn18 (P4), hafnet (P5); "
    "of lip_resnet18, drsn18 and hafnet also …_half and …_small, and hafnet_edge"
)


def _shown(progress: Progress, task: TaskID) -> Callable[[int, int], None]:
    return lambda done, total: progress.update(task, completed=done)


def _list_networks(asked: bool) -> None:
    if not asked:
        return
    from export.catalogue import catalogue

    table = Table("network", "parameters", "multiply–adds", "what", box=None)
    for entry in catalogue():
        size = f"{entry.cost.parameters / 1e6:.2f} M"
        table.add_row(entry.name, size, f"{entry.cost.multiply_adds / 1e6:.0f} M", entry.description)
    Console().print(table)
    raise typer.Exit


def train_network(
    architecture: Annotated[str, typer.Argument(metavar="ARCH", help=NETWORKS)],
    data: Annotated[Path, typer.Option(help=".npz as FER2013's, or a folder per class")],
    out: Annotated[Path, typer.Option(help="folder of the run; a run that was stopped goes on there")],
    labels: Annotated[
        str,
        typer.Option(
            help="of a .npz: fer, its own 7 classes; ferplus, 8 by most of the votes",
            rich_help_panel=_TARGETS,
        ),
    ] = _DEFAULT.labels,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="another value in the network's config"),
    ] = None,
    template: Annotated[str, typer.Option(help="alignment template: p1, loose")] = _DEFAULT.template,
    pupils: Annotated[
        str, typer.Option(help="what finds them: haar, landmarks, or both, each for half of the crops")
    ] = _DEFAULT.pupils,
    epochs: Annotated[
        int, typer.Option(min=1, help="passes over the training split", rich_help_panel=_SCHEDULE)
    ] = _DEFAULT.epochs,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            help="end after this much time, the schedule drawn out over it",
            rich_help_panel=_SCHEDULE,
        ),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="checkpoint or bundle to start from; random weights when absent",
            rich_help_panel=_SCHEDULE,
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=2, rich_help_panel=_SCHEDULE)] = _DEFAULT.batch_size,
    learning_rate: Annotated[
        float, typer.Option(min=0, help="peak of the cosine schedule", rich_help_panel=_SCHEDULE)
    ] = _DEFAULT.learning_rate,
    weight_decay: Annotated[float, typer.Option(min=0, rich_help_panel=_SCHEDULE)] = _DEFAULT.weight_decay,
    ema: Annotated[
        float,
        typer.Option(
            min=0,
            max=0.99999,
            help="decay of the weights' moving average; 0: none",
            rich_help_panel=_SCHEDULE,
        ),
    ] = _DEFAULT.ema,
    early_size: Annotated[
        int,
        typer.Option(
            min=0,
            help="side of the crops in the first part of the run; 0: as at the end",
            rich_help_panel=_SCHEDULE,
        ),
    ] = _DEFAULT.early_size_px,
    early_share: Annotated[
        float, typer.Option(min=0, max=1, help="how much of the run that part is", rich_help_panel=_SCHEDULE)
    ] = _DEFAULT.early_share,
    label_smoothing: Annotated[
        float, typer.Option(min=0, max=1, rich_help_panel=_TARGETS)
    ] = _DEFAULT.label_smoothing,
    votes_weight: Annotated[
        float,
        typer.Option(
            min=0, help="of a second head that learns the raters' votes; 0: none", rich_help_panel=_TARGETS
        ),
    ] = _DEFAULT.votes_weight,
    votes_blend: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="share of what the raters' votes say of the label in the target",
            rich_help_panel=_TARGETS,
        ),
    ] = _DEFAULT.votes_blend,
    teacher: Annotated[
        Path | None,
        typer.Option(
            help="bundle whose probabilities are learned beside the labels", rich_help_panel=_TARGETS
        ),
    ] = None,
    teacher_weight: Annotated[
        float, typer.Option(min=0, max=1, help="share of them in the target", rich_help_panel=_TARGETS)
    ] = _DEFAULT.teacher_weight,
    mixup: Annotated[
        float, typer.Option(min=0, help="Beta parameter; 0: none", rich_help_panel=_TARGETS)
    ] = _DEFAULT.mixup,
    cutmix: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="probability that a batch is cut and mixed", rich_help_panel=_TARGETS
        ),
    ] = _DEFAULT.cutmix,
    class_balance: Annotated[
        float,
        typer.Option(
            min=0, max=1, help="0: each image once an epoch; 1: all classes alike", rich_help_panel=_TARGETS
        ),
    ] = _DEFAULT.class_balance,
    rotation: Annotated[
        float,
        typer.Option(min=0, max=90, help="± degrees, left after alignment", rich_help_panel=_AUGMENTATION),
    ] = _DEFAULT.augmentation.rotation_deg,
    scale: Annotated[
        float, typer.Option(min=0, max=1, help="± of the logarithm", rich_help_panel=_AUGMENTATION)
    ] = _DEFAULT.augmentation.scale,
    shift: Annotated[
        float, typer.Option(min=0, max=1, help="± of the pupils' distance", rich_help_panel=_AUGMENTATION)
    ] = _DEFAULT.augmentation.shift,
    flip: Annotated[
        float, typer.Option(min=0, max=1, help="probability", rich_help_panel=_AUGMENTATION)
    ] = _DEFAULT.augmentation.flip,
    blur: Annotated[
        float, typer.Option(min=0, max=1, help="probability", rich_help_panel=_AUGMENTATION)
    ] = _DEFAULT.augmentation.blur,
    erase: Annotated[
        float, typer.Option(min=0, max=1, help="probability", rich_help_panel=_AUGMENTATION)
    ] = _DEFAULT.augmentation.erase,
    seed: Annotated[int, typer.Option()] = _DEFAULT.seed,
    limit: Annotated[
        int | None, typer.Option(min=1, help="use only so many training images, for a trial")
    ] = None,
    list_networks: Annotated[
        bool,
        typer.Option(
            "--list", is_eager=True, callback=_list_networks, help="all networks and what they cost"
        ),
    ] = False,
) -> None:
    """Trains a network on crops that the device's own alignment cuts.

    roomtone train hafnet_edge --data fer2013.npz --out runs/hafnet_edge

    roomtone train hafnet_small --data fer2013.npz --out runs/two_heads --set heads=2 --set affinity_weight=0

    roomtone train hafnet_half --data my_faces/ --out runs/ours --from bundles/default --minutes 90

    roomtone train hafnet_small --data fer2013.npz --out runs/small --teacher bundles/default --label-smoothing 0
    """
    import torch

    from edge_runtime.bundle import open_bundle
    from export.architectures import configure
    from export.taxonomy import labels_of
    from export.training.teacher import taught_by
    from export.training.trainer import Trainer
    from export.training.watching import watched

    recipe = Recipe(
        architecture,
        changes_of(changes or []),
        template,
        pupils,
        labels,
        epochs,
        batch_size,
        learning_rate,
        weight_decay=weight_decay,
        label_smoothing=label_smoothing,
        ema=ema,
        early_size_px=early_size,
        early_share=early_share,
        votes_weight=votes_weight,
        votes_blend=votes_blend,
        teacher_weight=teacher_weight,
        mixup=mixup,
        cutmix=cutmix,
        class_balance=class_balance,
        seed=seed,
        augmentation=Augmentation(rotation, scale, shift, flip, blur, erase),
    )
    # Refused before any work is done for them.
    configure(architecture, 2, recipe.changes)
    if teacher is not None:
        open_bundle(teacher)
    with work_progress() as progress:
        sets = {split: load_labelled(data, split, labels) for split in ("training", "public")}
        names = sets["training"].label_names
        labels_of(names, data)  # a class that cannot be exported is better known before the training
        _tell_left_out(progress, sets)
        if limit is not None:
            sets["training"] = sets["training"].first(limit)
        training, choosing = (_located(split, faces, out, pupils, progress) for split, faces in sets.items())
        if training.votes is None:  # a set without raters teaches by its labels alone
            recipe = replace(recipe, votes_weight=0.0, votes_blend=0.0)
        if teacher is not None:
            looked, asked = (
                progress.add_task(what, total=len(training.labels), note="")
                for what in ("pupils, as the teacher's", "the teacher")
            )
            training, name = taught_by(
                teacher,
                training,
                names,
                _shown(progress, asked),
                cache=out / "located",
                on_pupils=_shown(progress, looked),
            )
            recipe = replace(recipe, teacher=name)
        trainer = Trainer(recipe, training, choosing, out, names, minutes, start)
        checkpoint = watched(trainer, progress, "accuracy on the public split")
    typer.echo(f"{checkpoint}  (torch {torch.__version__}; curve in {out / 'curve.png'})")


def _located(split: str, faces: LabelledFaces, out: Path, pupils: str, progress: Progress) -> TrainingFaces:
    from export.training.datasets import locate

    task = progress.add_task(f"pupils, {split}", total=len(faces), note="")
    located = locate(faces, out / "located", _shown(progress, task), pupils)
    progress.update(task, completed=len(faces))
    return located


def _tell_left_out(progress: Progress, sets: dict[str, LabelledFaces]) -> None:
    for split, faces in sets.items():
        for reason, count in faces.left_out.items():
            if count:
                progress.console.print(f"{split}: {count} images left out, {reason}")
    for file in sets["training"].unreadable:
        progress.console.print(f"unreadable: {file}", highlight=False)
