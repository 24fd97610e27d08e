"""Commands of the workstation: `roomtone train` and `roomtone export`; those of landmarks are in `landmark_cli`."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from edge_runtime.commands.default_command import DefaultCommandGroup
from edge_runtime.commands.progress import work_progress
from edge_runtime.errors import ConfigurationError, Fault
from edge_runtime.faces.labelled import LabelledFaces, load_labelled
from export.landmark_cli import export_landmarks_command, hush_graph_passes, train_landmarks
from export.sequence_cli import TrainGroup, train_sequence
from export.stargan_cli import train_stargan
from export.training.augmentation import Augmentation
from export.training.options import changes_of
from export.training.recipe import Recipe

if TYPE_CHECKING:
    from export.deployable import Request
    from export.pipeline import ExportResult
    from export.training.datasets import TrainingFaces

train_app = typer.Typer(
    cls=TrainGroup,
    no_args_is_help=True,
    help="Train a network on crops that the device's own alignment cuts.",
)
export_app = typer.Typer(
    cls=DefaultCommandGroup,
    no_args_is_help=True,
    help="Turn a trained network, or somebody else's, into a verified bundle.",
)
_DEFAULT = Recipe()
_SCHEDULE, _TARGETS, _AUGMENTATION = "Schedule", "What is learned", "Augmentation"  # panels of the help
# Written out, since listing export.architectures would load torch for a --help.
_ARCHITECTURES: Final = (
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


@train_app.command("network")
def train(
    architecture: Annotated[str, typer.Argument(metavar="ARCH", help=_ARCHITECTURES)],
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
    configure(architecture, 2, recipe.changes)  # refused before any work is done for it
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
            asked = progress.add_task("the teacher", total=len(training.labels), note="")
            training, name = taught_by(teacher, training, names, _shown(progress, asked))
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


@export_app.command("network")
def export(
    network: Annotated[
        str,
        typer.Argument(
            metavar="ARCH|MODULE:FACTORY",
            help=f"the checkpoint's own: {_ARCHITECTURES}; or what makes your own nn.Module, such as my_net:build",
        ),
    ],
    checkpoint: Annotated[
        Path,
        typer.Option(
            help="of `roomtone train`; of a factory: .safetensors, or torch.save(network.state_dict())"
        ),
    ],
    out: Annotated[Path, typer.Option(help="folder of the bundle; must not exist yet")],
    contract: Annotated[
        Path | None,
        typer.Option(help="of a factory: what goes in and comes out, .toml; see docs/models.md"),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="labelled faces, to compare the formats on 16 of them beside rendered ones and noise"
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="of the bundle, [a-z0-9-]; default when absent")] = None,
    version: Annotated[
        str | None, typer.Option(help="of the bundle, three numbers; 0.1.0 when absent")
    ] = None,
    trained_on: Annotated[
        str | None,
        typer.Option(help="what the training data is, for the model card; FER2013's note when absent"),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="replace the bundle that is there")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable")] = False,
) -> None:
    r"""Turns a trained network into a bundle that is proven to give the same logits in every engine.

    \b
    roomtone export hafnet_half --checkpoint runs/first/checkpoint.safetensors --out bundles/first
    roomtone export my_net:build --checkpoint my_net.safetensors --contract my_net.toml --out bundles/mine
    """
    from export.pipeline import STEPS, Step, export_bundle

    request = _request(network, checkpoint, out, contract, name, version, trained_on, force=force)
    hush_graph_passes()
    with work_progress() as progress:
        task = progress.add_task("export", total=len(STEPS), note="")
        started = itertools.count()

        def on_step(step: Step) -> None:
            progress.update(task, completed=next(started), note=f"{step.name}: {step.ensures}")

        with _current_folder_importable():
            result = export_bundle(request, on_step, data=data)
        progress.update(task, completed=len(STEPS), note="")
    if as_json:
        typer.echo(json.dumps(_export_facts(result), indent=2))
        return
    manifest = result.bundle.manifest
    typer.echo(
        f"{result.bundle.folder}  {manifest.name} {manifest.version}  digest {result.bundle.digest[:16]}…"
    )
    for graph in result.graphs:
        typer.echo(
            f"graph     {sum(graph.operators.values())} operators, opset {graph.opset}, "
            f"{graph.size_bytes / 1e6:.1f} MB"
        )
    network_size = manifest.architecture
    typer.echo(
        f"network   {network_size.parameters / 1e6:.2f} M parameters, "
        f"{network_size.multiply_adds / 1e6:.0f} M multiply–adds a face"
    )
    for hop in result.parity:
        typer.echo(f"parity    {hop.hop}, {hop.data}: largest difference {hop.difference:.2g}")
    for check in result.variants:
        typer.echo(
            f"verified  {check.report.backend} {check.report.precision}: "
            f"golden outputs within {check.golden_difference:.2g}"
        )


def _request(
    network: str,
    checkpoint: Path,
    out: Path,
    contract: Path | None,
    name: str | None,
    version: str | None,
    trained_on: str | None,
    *,
    force: bool,
) -> Request:
    """A factory brings a contract, which says the rest; an architecture of ours brings none."""
    if ":" not in network:
        if contract is not None:
            problem = f"{network} has a contract of its own; one is given for MODULE:FACTORY alone"
            raise ConfigurationError("the command line", [Fault("--contract", problem)])
        from export.trained import ExportRequest

        return ExportRequest(
            network, checkpoint, out, name or "default", version or "0.1.0", force, trained_on
        )
    given = {"--name": name, "--version": version, "--trained-on": trained_on}
    faults = [Fault(option, "stands in the contract") for option, value in given.items() if value is not None]
    if contract is None:
        faults.append(Fault("--contract", "is needed with a factory: labels, size, channels and scale"))
    if contract is None or faults:
        raise ConfigurationError(
            "the command line",
            faults,
            hint="docs/models.md, “Your own network”, has a contract to begin with",
        )
    from export.factory import FactoryRequest

    return FactoryRequest(network, checkpoint, contract, out, force)


@contextmanager
def _current_folder_importable() -> Iterator[None]:
    """As `python -m` has it; an installed command does not."""
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


@export_app.command("adopt")
def adopt_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="somebody else's network, .onnx")],
    contract: Annotated[Path, typer.Option(help="what goes in and comes out, .toml; see docs/models.md")],
    out: Annotated[Path, typer.Option(help="folder of the bundle; must not exist yet")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="labelled faces, to compare the formats on 16 of them beside rendered ones and noise"
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="replace the bundle that is there")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable")] = False,
) -> None:
    """Makes a bundle of somebody else's network: its preprocessing moves into the graph.

    roomtone export adopt fer.onnx --contract fer.toml --out bundles/fer
    """
    from export.adopt import adopt

    with work_progress() as progress:
        task = progress.add_task("adopt", total=None, note="")
        found = adopt(
            file,
            contract,
            out,
            force=force,
            data=data,
            on_step=lambda step: progress.update(task, note=step),
        )
    bundle = found.bundle
    if as_json:
        facts = {
            "bundle": str(bundle.folder),
            "digest": bundle.digest,
            "architecture": bundle.manifest.architecture.model_dump(),
            "parity": [asdict(hop) for hop in found.parity],
        }
        typer.echo(json.dumps(facts, indent=2))
        return
    typer.echo(
        f"{bundle.folder}  {bundle.manifest.name} {bundle.manifest.version}  digest {bundle.digest[:16]}…"
    )
    for hop in found.parity:
        typer.echo(f"parity    {hop.hop}, {hop.data}: largest difference {hop.difference:.2g}")
    typer.echo("next: roomtone calibrate, which measures it, quantizes it and fits its confidence")


def _export_facts(result: ExportResult) -> dict[str, Any]:
    return {
        "bundle": str(result.bundle.folder),
        "digest": result.bundle.digest,
        "name": result.bundle.manifest.name,
        "version": result.bundle.manifest.version,
        "architecture": result.bundle.manifest.architecture.model_dump(),
        **dict(zip(("graph", "head_graph"), map(asdict, result.graphs), strict=False)),
        "parity": [asdict(hop) for hop in result.parity],
        "variants": [
            {**asdict(check.report), "golden_difference": check.golden_difference}
            for check in result.variants
        ],
    }


train_app.command("landmarks")(train_landmarks)
train_app.command("sequence")(train_sequence)
train_app.command("stargan")(train_stargan)
export_app.command("landmarks")(export_landmarks_command)
