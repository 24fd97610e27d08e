"""`roomtone train sequence`, and what is asked of a network of sequences: `roomtone sequences`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.progress import Progress, TaskID

from edge_runtime.commands.default_command import DefaultCommandGroup
from edge_runtime.commands.progress import work_progress
from export.training.options import changes_of
from export.training.sequences.recipe import SequenceRecipe

if TYPE_CHECKING:
    from export.training.progress import EpochResult
    from export.training.progress import Progress as TrainingProgress

# Written out, since listing export.architectures would load torch for a --help.
SEQUENCE_NETWORKS: Final = ("attention_fusion", "attention_fusion_edge", "vit_vlad", "vit_vlad_edge")
_DEFAULT = SequenceRecipe()


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
    from export.training.curves import plot_curve
    from export.training.sequences.sets import made_sets
    from export.training.sequences.trainer import SequenceTrainer

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
        training, choosing, names = made_sets(recipe, frames, data, clips or out / "clips", on_progress)
        trainer = SequenceTrainer(recipe, training, choosing, out, names, minutes)
        task = progress.add_task("training", total=100, note="")

        def on_step(now: TrainingProgress) -> None:
            progress.update(task, completed=100 * now.share, note=f"step {now.step}, loss {now.loss:.3f}")

        def on_epoch(row: EpochResult) -> None:
            plot_curve(trainer.curve, out / "curve.png")
            progress.console.print(
                f"epoch {row.epoch:3d}  loss {row.loss:.3f}  accuracy on held-out clips {row.accuracy:.3f}"
            )

        checkpoint = trainer.run(on_step, on_epoch)
    typer.echo(f"{checkpoint}  (curve in {out / 'curve.png'})")


def told(progress: Progress) -> Callable[[str, int, int], None]:
    """Shows each named piece of work as a bar of its own."""
    tasks: dict[str, TaskID] = {}

    def on_progress(name: str, done: int, total: int) -> None:
        if name not in tasks:
            tasks[name] = progress.add_task(name, total=total, note="")
        progress.update(tasks[name], completed=done)

    return on_progress
