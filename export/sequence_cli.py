"""`roomtone train sequence`, and what is asked of a network of sequences: `roomtone sequences`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from edge_runtime.commands.default_command import DefaultCommandGroup
from edge_runtime.commands.progress import work_progress
from edge_runtime.errors import ConfigurationError, Fault
from edge_runtime.shipped import bundle_folder
from export.training.options import changes_of
from export.training.sequences.recipe import SequenceRecipe

if TYPE_CHECKING:
    from export.training.sequences.measuring import Quality

# Written out, since listing export.architectures would load torch for a --help.
SEQUENCE_NETWORKS: Final = ("attention_fusion", "attention_fusion_edge", "vit_vlad", "vit_vlad_edge")
_DEFAULT = SequenceRecipe()
sequences_app = typer.Typer(
    no_args_is_help=True, help="Ask trained networks of sequences: on clips, on films, without an attention."
)


class TrainGroup(DefaultCommandGroup):
    """`roomtone train vit_vlad …` means `roomtone train sequence vit_vlad …`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts the command's name in front of a network of sequences."""
        if args and args[0] in SEQUENCE_NETWORKS:
            args = ["sequence", *args]
        return super().parse_args(ctx, args)


def train_sequence(
    architecture: Annotated[str, typer.Argument(metavar="ARCH", help=", ".join(SEQUENCE_NETWORKS))],
    out: Annotated[Path, typer.Option(help="folder of the run; a run that was stopped goes on there")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="photographs: .npz as FER2013's, or a folder per class; simulated faces alone when absent"
        ),
    ] = None,
    clips: Annotated[
        Path | None, typer.Option(help="folder where clips are kept, for several runs; in --out when absent")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="another value in the network's config"),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="of 100 steps each")] = _DEFAULT.epochs,
    minutes: Annotated[
        float | None,
        typer.Option(min=0.01, help="end after this much time, the schedule drawn out over it"),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=2, help="clips in a step")] = _DEFAULT.batch_size,
    still_batch: Annotated[int, typer.Option(min=2, help="single frames in a step")] = _DEFAULT.still_batch,
    still_share: Annotated[
        float, typer.Option(min=0, max=1, help="how much of the run learns from single frames first")
    ] = _DEFAULT.still_share,
    real_share: Annotated[
        float, typer.Option(min=0, max=1, help="of photographs and what grows from them")
    ] = _DEFAULT.real_share,
    simulated: Annotated[int, typer.Option(min=7, help="simulated clips")] = _DEFAULT.simulated,
    grown: Annotated[int, typer.Option(min=7, help="clips grown from photographs")] = _DEFAULT.grown,
    stargan: Annotated[
        Path | None, typer.Option(help="checkpoint of `roomtone train stargan`, to augment photographs")
    ] = None,
    made: Annotated[
        int, typer.Option(min=1, help="photographs that --stargan gives another expression")
    ] = 7000,
    stride: Annotated[float, typer.Option(min=0.02, help="seconds between frames")] = _DEFAULT.stride_s,
    learning_rate: Annotated[float, typer.Option(min=0)] = _DEFAULT.learning_rate,
    weight_decay: Annotated[float, typer.Option(min=0)] = _DEFAULT.weight_decay,
    label_smoothing: Annotated[float, typer.Option(min=0, max=1)] = _DEFAULT.label_smoothing,
    ema: Annotated[
        float, typer.Option(min=0, max=0.99999, help="decay of the weights' moving average; 0: none")
    ] = _DEFAULT.ema,
    seed: Annotated[int, typer.Option()] = _DEFAULT.seed,
) -> None:
    r"""Trains a network of sequences on clips of simulated people and of photographs that are set in motion.

    \b
    roomtone train attention_fusion_edge --data fer2013.npz --out runs/p1 --minutes 20
    roomtone train vit_vlad_edge --data fer2013.npz --out runs/p3 --clips runs/p1/clips
    roomtone train attention_fusion_edge --out runs/plain --set self_attention=0
    """
    from export.architectures import configure_sequence
    from export.training.sequences.sets import made_sets
    from export.training.sequences.trainer import SequenceTrainer
    from export.training.watching import watched

    recipe = SequenceRecipe(
        architecture,
        changes_of(changes or []),
        stride_s=stride,
        epochs=epochs,
        batch_size=batch_size,
        still_batch=still_batch,
        still_share=still_share,
        real_share=real_share,
        simulated=simulated,
        grown=grown,
        made=0 if stargan is None else made,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        label_smoothing=label_smoothing,
        ema=ema,
        seed=seed,
    )
    frames = configure_sequence(
        architecture, 2, recipe.changes
    ).frames  # refused before any work is done for it
    with work_progress() as progress:
        on_progress = told(progress)
        training, choosing, names = made_sets(
            recipe, frames, data, clips or out / "clips", on_progress, stargan
        )
        trainer = SequenceTrainer(recipe, training, choosing, out, names, minutes)
        checkpoint = watched(trainer, progress, "accuracy on held-out clips")
    typer.echo(f"{checkpoint}  (curve in {out / 'curve.png'})")


def told(progress: Progress) -> Callable[[str, int, int], None]:
    """Shows each named piece of work as a bar of its own."""
    tasks: dict[str, TaskID] = {}

    def on_progress(name: str, done: int, total: int) -> None:
        if name not in tasks:
            tasks[name] = progress.add_task(name, total=total, note="")
        progress.update(tasks[name], completed=done)

    return on_progress


@sequences_app.command()
def evaluate(
    checkpoints: Annotated[list[Path], typer.Argument(help="of `roomtone train sequence`, one or several")],
    against: Annotated[
        Path | None, typer.Option(help="bundle of single images, asked about the same frames")
    ] = None,
    count: Annotated[int, typer.Option("--count", min=7, help="clips of people that no run has seen")] = 420,
    clips: Annotated[Path, typer.Option(help="folder where clips are kept")] = Path("runs/clips"),
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable")] = False,
) -> None:
    r"""Measures networks of sequences on simulated people whom no training has seen.

    What counts is what is true of a clip's newest frame. Each network is also asked about that frame alone, standing
    still: the difference is what motion tells. A network of single images is asked about the same crops: about the
    newest one, and about all, averaged.

    \b
    roomtone sequences evaluate runs/p1/checkpoint.safetensors runs/p3/checkpoint.safetensors --against default
    """
    from export.training.sequences.checkpoints import load_trained
    from export.training.sequences.measuring import measure_sequences, measure_single_images
    from export.training.sequences.sets import HELD_OUT, simulated

    networks = [load_trained(path) for path in checkpoints]
    first = networks[0]
    rows: list[Quality] = []
    with work_progress() as progress:
        for network in networks:
            wishes = (count, network.label_names, network.config.frames, network.recipe.stride_s, HELD_OUT)
            held_out = simulated(*wishes, clips, told(progress))
            rows += measure_sequences(network, held_out, network.recipe.architecture)
        if against is not None:
            wishes = (count, first.label_names, first.config.frames, first.recipe.stride_s, HELD_OUT)
            held_out = simulated(*wishes, clips, told(progress))
            rows += measure_single_images(bundle_folder(against), held_out, first.label_names)
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows], indent=2))
        return
    table = Table(
        "network", "accuracy", "macro-F1", "CCC valence", "CCC arousal", *first.label_names, box=None
    )
    for row in rows:
        figures = (
            row.accuracy,
            row.macro_f1,
            *row.concordance,
            *(row.f1[name] for name in first.label_names),
        )
        table.add_row(row.name, *(f"{figure:.3f}" for figure in figures))
    Console().print(table)
    typer.echo(f"{count} clips; the classes' columns are F1")


@sequences_app.command("clips")
def make_clips(
    checkpoint: Annotated[
        Path, typer.Argument(help="of `roomtone train sequence`: its frames, stride, classes")
    ],
    out: Annotated[Path, typer.Option(help="the .npz")],
    count: Annotated[int, typer.Option("--count", min=21, help="a third of them gives the verdict")] = 2400,
    force: Annotated[bool, typer.Option("--force", help="replace the file that is there")] = False,
) -> None:
    r"""Makes clips of simulated people whom no training has seen, for `roomtone calibrate`.

    \b
    roomtone sequences clips runs/p3/checkpoint.safetensors --out clips.npz
    roomtone calibrate bundles/p3 --data clips.npz --out bundles/p3-int8
    """
    from export.training.sequences.checkpoints import load_trained
    from export.training.sequences.clips import save_clips
    from export.training.sequences.sets import HELD_OUT
    from export.training.sequences.simulated import simulated_clips

    if out.exists() and not force:
        raise ConfigurationError(
            "the command line", [Fault("--out", f"{out} exists")], hint="--force replaces it"
        )
    network = load_trained(checkpoint)
    frames, stride_s = network.config.frames, network.recipe.stride_s
    with work_progress() as progress:
        task = progress.add_task("clips", total=count, note="")
        made = simulated_clips(
            count,
            network.label_names,
            frames,
            stride_s,
            HELD_OUT,
            lambda done, total: progress.update(task, completed=done),
        )
    save_clips(out, made)
    typer.echo(f"{out}  ({count} clips of {frames} frames, {stride_s:g} s apart)")


@sequences_app.command()
def ablate(
    checkpoint: Annotated[Path, typer.Argument(help="of attention_fusion or attention_fusion_edge")],
    steps: Annotated[int, typer.Option(min=1, help="of each training")] = 200,
    seeds: Annotated[int, typer.Option(min=1, help="trainings of each set of attentions")] = 3,
    training: Annotated[int, typer.Option(min=64, help="clips to learn from")] = 1400,
    count: Annotated[int, typer.Option(min=7, help="clips to measure on, of other people")] = 420,
    clips: Annotated[Path, typer.Option(help="folder where clips are kept")] = Path("runs/clips"),
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable")] = False,
) -> None:
    """What each of P1's three attentions is worth (Table 6): heads trained anew on one frame encoder.

    roomtone sequences ablate runs/p1/checkpoint.safetensors
    """
    from export.training.sequences.ablation import ablate as ablated
    from export.training.sequences.checkpoints import load_trained
    from export.training.sequences.sets import HELD_OUT, TRAINING, simulated

    network = load_trained(checkpoint)
    if not network.recipe.architecture.startswith("attention_fusion"):
        problem = f"is of {network.recipe.architecture}, which has no such attentions"
        raise ConfigurationError(str(checkpoint), [Fault("", problem)])
    with work_progress() as progress:
        learned, held_out = (
            simulated(
                size,
                network.label_names,
                network.config.frames,
                network.recipe.stride_s,
                people,
                clips,
                told(progress),
            )
            for size, people in ((training, TRAINING), (count, HELD_OUT))
        )
        task = progress.add_task("heads", total=8 * seeds, note="")
        rows = ablated(
            network,
            learned,
            held_out,
            steps=steps,
            seeds=seeds,
            on_progress=lambda done, total: progress.update(task, completed=done),
        )
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows], indent=2))
        return
    table = Table("attentions", "macro-F1", "of each seed", box=None)
    for row in rows:
        names = " + ".join(name.removesuffix("_attention") for name in row.attentions) or "none"
        mean = sum(row.macro_f1) / len(row.macro_f1)
        table.add_row(names, f"{mean:.3f}", "  ".join(f"{score:.3f}" for score in row.macro_f1))
    Console().print(table)


@sequences_app.command()
def film(
    checkpoints: Annotated[list[Path], typer.Argument(help="of `roomtone train sequence`, one or several")],
    source: Annotated[Path, typer.Option("--film", help="with a face in it; the largest one is read")],
    plot: Annotated[
        Path | None, typer.Option(help="PNG for probabilities, valence and arousal over time")
    ] = None,
    against: Annotated[Path | None, typer.Option(help="bundle of single images, on the same crops")] = None,
    stride: Annotated[
        float | None, typer.Option(min=0.02, help="seconds between readings; as in training when absent")
    ] = None,
    fills: Annotated[
        bool, typer.Option("--fill", help="begin at once: the oldest frame stands for those that are missing")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable")] = False,
) -> None:
    r"""What networks of sequences say of a film, and when they change their mind.

    \b
    roomtone sequences film runs/p3/checkpoint.safetensors --film smile.mp4 --plot smile.png --against default
    """
    from export.training.sequences.checkpoints import load_trained
    from export.training.sequences.films import film_faces, plot_courses, sequence_course, single_course

    networks = [load_trained(path) for path in checkpoints]
    names = networks[0].label_names
    faces = film_faces(source, networks[0], stride)
    courses = [sequence_course(network, faces, fills=fills) for network in networks]
    if against is not None:
        courses.append(single_course(bundle_folder(against), names, faces))
    if plot is not None:
        plot_courses(courses, names, source.name, plot)
    if as_json:
        found = [{"network": course.name, "spells": course.spells(names)} for course in courses]
        typer.echo(json.dumps(found, indent=2))
        return
    for course in courses:
        spells = ", ".join(f"{label} from {start_s:.2f} s" for start_s, label in course.spells(names))
        first, last = course.valence_arousal[:4].mean(axis=0), course.valence_arousal[-4:].mean(axis=0)
        typer.echo(f"{course.name}: {spells or 'nothing for long enough'}")
        typer.echo(
            f"  valence {first[0]:+.2f} → {last[0]:+.2f}, arousal {first[1]:+.2f} → {last[1]:+.2f} "
            "(first and last second)"
        )
