"""Commands of the workstation: `roomtone evaluate` and `roomtone calibrate`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final, Literal

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from calibration.end_to_end import end_to_end
from calibration.evaluation import Evaluation, evaluate, prepare
from calibration.metrics import Metrics
from calibration.pipeline import Calibration, calibrate, check_split, write_calibrated
from edge_runtime.bundle import open_bundle
from edge_runtime.bundle_writing import check_target
from edge_runtime.commands.progress import work_progress
from edge_runtime.config import InferenceSection
from edge_runtime.faces.labelled import default_split
from edge_runtime.inference.opening import open_engine

_LISTED: Final = 10  # unreadable files that are named
evaluate_app = typer.Typer()
calibrate_app = typer.Typer()

Backend = Literal["auto", "onnxruntime", "openvino"]
PrecisionName = Literal["auto", "fp32", "fp16", "bf16", "int8"]
_BundleArgument = Annotated[Path, typer.Argument(metavar="BUNDLE", help="bundle directory")]
_Data = Annotated[Path, typer.Option(help=".npz as FER2013's, or a folder per class")]
_Labels = Annotated[str, typer.Option(help="of a .npz: fer, or ferplus, the class with most votes")]
_BackendOption = Annotated[Backend, typer.Option(help="engine to measure with")]
_PrecisionOption = Annotated[PrecisionName, typer.Option(help="precision to measure")]
_Threads = Annotated[int, typer.Option(min=1, help="threads of the engine")]
_Cache = Annotated[Path | None, typer.Option(help="folder that keeps the pupils found, for the next time")]
_Json = Annotated[bool, typer.Option("--json", help="machine-readable")]


class _Bars:
    """A progress bar per stage, on stderr."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks = {task.description: task.id for task in progress.tasks}

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total, note="")
        self._progress.update(self._tasks[stage], completed=done)


@evaluate_app.command("evaluate")
def evaluate_command(
    bundle: _BundleArgument,
    data: _Data,
    split: Annotated[
        str | None,
        typer.Option(help="training, public, private or all; private, but all of a folder without splits"),
    ] = None,
    labels: _Labels = "fer",
    backend: _BackendOption = "auto",
    precision: _PrecisionOption = "auto",
    threads: _Threads = 1,
    cache: _Cache = None,
    confusion: Annotated[Path | None, typer.Option(help="draw the confusion matrix into this .png")] = None,
    whole_path: Annotated[
        bool,
        typer.Option(
            "--end-to-end", help="also paste the faces into frames, and find, align and classify them there"
        ),
    ] = False,
    as_json: _Json = False,
) -> None:
    """Measures a bundle on labelled faces, through the device's own alignment and engine.

    roomtone evaluate bundles/default --data fer2013.npz
    """
    opened = open_bundle(bundle)
    choice = open_engine(opened, InferenceSection(backend=backend, precision=precision, threads=threads))
    with work_progress() as progress:
        bars = _Bars(progress)
        chosen = split or default_split(data)
        faces = prepare(data, chosen, opened, labelling=labels, cache=cache, on_progress=bars)
        result = evaluate(opened, choice, faces, bars)
        through = end_to_end(opened, choice, faces, bars) if whole_path else None
    if confusion is not None:
        from calibration.figures import plot_confusion

        plot_confusion(result.metrics, f"{opened.manifest.name}: {result.data}", confusion)
    if as_json:
        facts = _facts(result, opened.digest)
        if through is not None:
            facts["end_to_end"] = through.to_json()
        typer.echo(json.dumps(facts, indent=2))
        return
    console = Console()
    console.print(_class_table(result.metrics, f"{opened.manifest.name} on {result.data}"))
    typer.echo(_summary(result.metrics))
    typer.echo(
        f"ran on {result.engine.backend} {result.engine.precision}; "
        f"pupils found in {result.pupils_found:.1%}; left out: {_left_out(result.left_out)}"
    )
    if through is not None:
        typer.echo(
            f"whole path: {through.found} of {through.faces} pasted faces found ({through.recall:.1%}); on these "
            f"{through.through.accuracy:.1%} right, cut directly {through.direct.accuracy:.1%}: "
            f"{through.points_lost:+.1f} points lost"
        )
    for file in result.unreadable[:_LISTED]:
        typer.echo(f"unreadable: {file}")
    if len(result.unreadable) > _LISTED:
        typer.echo(f"… and {len(result.unreadable) - _LISTED} more; --json lists all")


@calibrate_app.command("calibrate")
def calibrate_command(
    bundle: _BundleArgument,
    data: _Data,
    out: Annotated[Path, typer.Option(help="folder of the new bundle; must not exist yet")],
    split: Annotated[str, typer.Option(help="split to fit on; never the private one")] = "public",
    labels: _Labels = "fer",
    backend: _BackendOption = "auto",
    precision: _PrecisionOption = "auto",
    threads: _Threads = 1,
    cache: _Cache = None,
    force: Annotated[bool, typer.Option("--force", help="replace the bundle that is there")] = False,
    as_json: _Json = False,
) -> None:
    """Fits the confidence of a bundle to held-out faces and writes it, with the measured quality, anew.

    roomtone calibrate bundles/raw --data fer2013.npz --out bundles/default
    """
    check_split(split)
    check_target(out, force=force)
    opened = open_bundle(bundle)
    choice = open_engine(opened, InferenceSection(backend=backend, precision=precision, threads=threads))
    with work_progress() as progress:
        found = calibrate(
            opened, choice, data, split=split, labelling=labels, cache=cache, on_progress=_Bars(progress)
        )
    written = write_calibrated(opened, found, out, force=force)
    if as_json:
        typer.echo(json.dumps({"bundle": str(out), "digest": written.digest, **found.to_json()}, indent=2))
        return
    _print_calibration(found)
    typer.echo(
        f"{written.folder}  {written.manifest.name} {written.manifest.version}  digest {written.digest[:16]}…"
    )


def _facts(result: Evaluation, digest: str) -> dict[str, object]:
    return {
        "bundle_digest": digest,
        "data": result.data,
        "left_out": result.left_out,
        "unreadable": list(result.unreadable),
        "pupils_found": result.pupils_found,
        "engine": asdict(result.engine),
        **result.metrics.to_json(),
    }


def _print_calibration(found: Calibration) -> None:
    console = Console()
    console.print(_class_table(found.tested.after, f"tested on {found.tested.faces.data}"))
    typer.echo(_summary(found.tested.after))
    typer.echo(f"left out: {_left_out(found.tested.faces.left_out)}")
    before, after = found.tested.before, found.tested.after
    typer.echo(
        f"temperature {found.temperature_before:.4f} → {found.temperature:.4f}, "
        f"fitted on {found.fitted.faces.data}; on the test, calibration error "
        f"{before.expected_calibration_error:.4f} → {after.expected_calibration_error:.4f}, "
        f"negative log-likelihood {before.negative_log_likelihood:.4f} → {after.negative_log_likelihood:.4f}"
    )


def _class_table(metrics: Metrics, title: str) -> Table:
    table = Table(title=title)
    table.add_column("class")
    for heading in ("images", "recall", "precision", "F1"):
        table.add_column(heading, justify="right")
    for row in metrics.classes:
        table.add_row(row.name, str(row.images), f"{row.recall:.1%}", f"{row.precision:.1%}", f"{row.f1:.3f}")
    return table


def _summary(metrics: Metrics) -> str:
    return (
        f"accuracy {metrics.accuracy:.1%} (95 % interval {metrics.accuracy_low:.1%} to "
        f"{metrics.accuracy_high:.1%}, {metrics.images} images), macro-F1 {metrics.macro_f1:.3f}, "
        f"expected calibration error {metrics.expected_calibration_error:.3f}"
    )


def _left_out(left_out: dict[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in left_out.items() if count) or "none"
