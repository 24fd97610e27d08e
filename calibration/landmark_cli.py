"""Commands of the landmark network: `roomtone evaluate landmarks` and `roomtone calibrate landmarks`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from calibration.landmark_quality import (
    FRONTAL_YAW_DEG,
    LEAST_WIDTH_PX,
    LandmarkEvaluation,
    evaluate_landmarks,
)
from edge_runtime.commands.progress import work_progress
from edge_runtime.faces.marked import load_marked
from edge_runtime.inference.landmark_engine import open_landmark_finder
from edge_runtime.landmark_bundle import open_landmarks, packaged_landmarks_path

_Data = Annotated[Path, typer.Option(help=".npz of marked faces; see docs/landmarks.md")]
_Json = Annotated[bool, typer.Option("--json", help="machine-readable")]


def evaluate_landmarks_command(
    data: _Data,
    landmarks: Annotated[
        Path | None,
        typer.Argument(
            metavar="LANDMARKS", help="folder of the network; what ships with roomtone when absent"
        ),
    ] = None,
    split: Annotated[
        Literal["training", "choosing", "test", "all"], typer.Option(help="of the persons")
    ] = "test",
    first_pass: Annotated[
        bool, typer.Option("--first-pass", help="without the second, closer look that a device takes")
    ] = False,
    picture: Annotated[
        Path | None, typer.Option(help="draw points on 40 of the faces into this image; it shows people")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Measures landmarks and pupils on marked faces of persons that training never saw.

    roomtone evaluate landmarks --data landmarks68.npz --picture points.png
    """
    finder = open_landmark_finder(landmarks or packaged_landmarks_path(), looks_twice=not first_pass)
    faces = load_marked(data, split)
    with work_progress() as progress:
        task = progress.add_task("faces", total=len(faces), note="")
        found = evaluate_landmarks(finder, faces, lambda done, total: progress.update(task, completed=done))
    if picture is not None:
        from calibration.landmark_picture import draw_landmarks

        draw_landmarks(finder, faces, picture)
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2))
        return
    _show(found, f"{data.name}, {split} split")


def calibrate_landmarks_command(
    landmarks: Annotated[Path, typer.Argument(metavar="LANDMARKS", help="of `roomtone export landmarks`")],
    data: _Data,
    out: Annotated[Path, typer.Option(help="folder to be; must not exist yet")],
    force: Annotated[bool, typer.Option("--force", help="replace the network that is there")] = False,
    as_json: _Json = False,
) -> None:
    """Quantizes the landmark network, and keeps what is right and faster.

    roomtone calibrate landmarks landmarks/raw --data landmarks68.npz --out landmarks/proven
    """
    from calibration.landmarks import MAX_ADDED, calibrate_landmarks

    source = open_landmarks(landmarks)
    with work_progress() as progress:
        task = progress.add_task("calibrate", total=None, note="")
        found = calibrate_landmarks(
            source, data, out, force=force, on_step=lambda step: progress.update(task, note=step)
        )
    if as_json:
        typer.echo(json.dumps(found.to_json() | {"landmarks": str(found.bundle.folder)}, indent=2))
        return
    for verdict in found.verdicts:
        typer.echo(
            f"{verdict.variant}: {'pass' if verdict.passed else 'fail'}; adds {verdict.added:+.4f} to the error, below "
            f"{verdict.added_upper:.4f} at 95 % (allowed: {MAX_ADDED:g}); {verdict.layers_in_float} layers in float"
        )
    for name, ms in sorted(found.ms_per_face.items(), key=lambda item: item[1]):
        gain = f", {found.speedup[name].median:.2f}× float32" if name in found.speedup else ""
        typer.echo(f"{name}: {ms:.3f} ms a face at batch 8 on one thread{gain}")
    _show(found.evaluation, f"{data.name}, test split, {found.bundle.manifest.variants[0].backend} first")
    typer.echo(str(found.bundle.folder))


def _show(found: LandmarkEvaluation, title: str) -> None:
    error = found.error
    typer.echo(
        f"{title}: error {error.mean:.4f} of the distance of the outer eye corners (95 % interval {error.low:.4f} to "
        f"{error.high:.4f}), {found.faces} faces of {found.persons} persons; {found.given_up:.1%} given up; "
        f"the detector found {found.boxes_found:.1%} by itself"
    )
    typer.echo(
        f"displaced against the marks by {found.displacement[0]:+.4f}, {found.displacement[1]:+.4f} (x, y) on average; "
        f"without that the error is {found.error_without.mean:.4f} ({found.error_without.low:.4f} to "
        f"{found.error_without.high:.4f})"
    )
    typer.echo(", ".join(f"{name} {value:.4f}" for name, value in found.parts.items()))
    typer.echo(f"confidence against error: rank correlation {found.doubt:.2f}")
    table = Table(
        "pupils",
        "found",
        "within a tenth, of all",
        "of those found",
        "the worse one, of all",
        "median error",
        title=f"{found.frontal} faces within {FRONTAL_YAW_DEG:g}° of frontal, at least {LEAST_WIDTH_PX:g} px wide",
        box=None,
    )
    for name, row in found.pupils.items():
        table.add_row(
            name,
            *(f"{share:.1%}" for share in (row.found, row.within, row.within_of_found, row.worse_within)),
            f"{row.median:.3f}",
        )
    Console().print(table)
