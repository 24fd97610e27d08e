"""Commands of the landmark network: `roomtone train landmarks` and `roomtone export landmarks`."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Annotated

import typer

from edge_runtime.commands.progress import work_progress


def train_landmarks(
    data: Annotated[Path, typer.Option(help=".npz of marked faces; see docs/landmarks.md")],
    out: Annotated[Path, typer.Option(help="folder of the run; a run that was stopped goes on there")],
    epochs: Annotated[int, typer.Option(min=1, help="passes over all faces")] = 100,
    batch_size: Annotated[int, typer.Option(min=2)] = 64,
    learning_rate: Annotated[float, typer.Option(min=0, help="peak of the cosine schedule")] = 3e-3,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="end after this much time, the schedule drawn out over it")
    ] = None,
    rendered: Annotated[int, typer.Option(min=0, help="drawn faces beside the photographs")] = 800,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Trains the landmark network; a fifth of the persons is never seen, by their names.

    roomtone train landmarks --data landmarks68.npz --out runs/landmarks
    """
    from edge_runtime.faces.marked import load_marked
    from export.training.landmark_trainer import LandmarkRecipe, LandmarkTrainer
    from export.training.watching import watched

    recipe = LandmarkRecipe(epochs, batch_size, learning_rate, rendered=rendered, seed=seed)
    with work_progress() as progress:
        training, choosing = load_marked(data, "training"), load_marked(data, "choosing")
        trainer = LandmarkTrainer(recipe, training, choosing, out, minutes)
        checkpoint = watched(trainer, progress, "1 − error on the choosing split")
    typer.echo(str(checkpoint))


def hush_graph_passes() -> None:
    """Each pass over a graph would report itself at INFO; with --verbose it may."""
    if not logging.getLogger().isEnabledFor(logging.DEBUG):
        for chatty in ("onnx_ir", "onnxscript"):
            logging.getLogger(chatty).setLevel(logging.WARNING)


def export_landmarks_command(
    checkpoint: Annotated[Path, typer.Option(help="of `roomtone train landmarks`")],
    out: Annotated[Path, typer.Option(help="folder of the network; must not exist yet")],
    version: Annotated[str, typer.Option(help="of the network, three numbers")] = "0.1.0",
    force: Annotated[bool, typer.Option("--force", help="replace the network that is there")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable")] = False,
) -> None:
    """Turns a trained landmark network into a folder that is proven in every engine.

    roomtone export landmarks --checkpoint runs/landmarks/checkpoint.safetensors --out landmarks/raw
    """
    from export.landmarks import export_landmarks

    hush_graph_passes()
    with work_progress() as progress:
        task = progress.add_task("export", total=None, note="")
        result = export_landmarks(
            checkpoint,
            out,
            version_=version,
            force=force,
            on_step=lambda step: progress.update(task, note=step),
        )
    cost = result.bundle.manifest.architecture
    if as_json:
        facts = {
            "landmarks": str(result.bundle.folder),
            "parameters": cost.parameters,
            "multiply_adds": cost.multiply_adds,
            "bytes": result.graph.size_bytes,
            "parity": [
                {"hop": row.hop, "data": row.data, "difference": row.difference} for row in result.parity
            ],
            "golden_differences": result.golden_differences,
        }
        typer.echo(json.dumps(facts, indent=2))
        return
    typer.echo(
        f"{result.bundle.folder}  {cost.parameters / 1e6:.2f} M parameters, "
        f"{cost.multiply_adds / 1e6:.0f} M multiply–adds a cut, {result.graph.size_bytes / 1e6:.1f} MB"
    )
    for hop in result.parity:
        typer.echo(f"parity    {hop.hop}, {hop.data}: largest difference {hop.difference:.2g}")
    for name, difference in result.golden_differences.items():
        typer.echo(f"verified  {name}: golden points within {difference:.2g}")
