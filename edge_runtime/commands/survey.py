"""`roomtone survey`: what a camera in this place can read, seat by seat."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)


@app.command()
def survey(
    source: Annotated[
        str | None, typer.Option(help="camera index, rtsp/http url, film, folder of images, or simulated://…")
    ] = None,
    config: Annotated[
        list[Path] | None,
        typer.Option(
            help="TOML file, or folder of layers, for camera, detector and bundle; the defaults when absent"
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, max=3600, help="how long to look")] = 60.0,
    every: Annotated[float, typer.Option(min=0.1, max=60, help="seconds between two thorough looks")] = 1.0,
    lens_degrees: Annotated[
        float, typer.Option(min=10, max=170, help="the lens's horizontal angle of view")
    ] = 90.0,
    rows: Annotated[int, typer.Option(min=1, max=20, help="rows of seats")] = 6,
    first_row_m: Annotated[float, typer.Option(min=0.3, max=50, help="camera to the first row, m")] = 2.0,
    row_pitch_m: Annotated[float, typer.Option(min=0.3, max=10, help="from one row to the next, m")] = 1.2,
    out: Annotated[Path | None, typer.Option(help="picture to write, .png or .jpg; none when absent")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable")] = False,
) -> None:
    r"""Looks at a room for a minute, with people in it, and says which seats this camera can read, and what to change.

    Nothing is published, and no emotion is inferred. A picture is written only
    with --out, and nobody can be recognised in it. Ctrl-C ends early and reports
    what is known so far.

    \b
    roomtone survey --source 0 --out survey.png
    roomtone survey --source rtsp://camera/stream --lens-degrees 70 --first-row-m 2.5
    roomtone survey --config config.toml --seconds 20 --json | jq .verdict_text
    """
    from contextlib import suppress

    from rich.console import Console

    from edge_runtime.commands.by_hand import environment_of_service
    from edge_runtime.commands.overrides import override
    from edge_runtime.commands.progress import work_progress
    from edge_runtime.config import trial_config
    from edge_runtime.config_file import load_config
    from edge_runtime.frames.opening import open_source
    from edge_runtime.survey.drawing import check_place, draw, save
    from edge_runtime.survey.report import Room
    from edge_runtime.survey.surveyor import Surveyor, watch
    from edge_runtime.survey.tables import show
    from edge_runtime.updates.starting import bundle_in_force

    if out is not None:
        check_place(out)
    settings = load_config(*config) if config else trial_config()
    settings = override(settings, {"camera": {"source": source}})
    environ = environment_of_service(config or [])
    bundle, _ = bundle_in_force(settings)
    with (
        open_source(settings.camera, environ=environ) as camera,
        Surveyor(settings, bundle.manifest, waits_for_scans=not camera.is_live, every_s=every) as surveyor,
    ):
        with work_progress() as progress, suppress(KeyboardInterrupt):
            task = progress.add_task("surveying", total=round(seconds), note="")
            watch(
                camera,
                surveyor,
                seconds,
                lambda done, heads: progress.update(task, completed=round(done), note=f"{heads} heads"),
            )
            progress.update(task, total=round(surveyor.seconds))
        report = surveyor.report(lens_degrees=lens_degrees, seats=Room(rows, first_row_m, row_pitch_m))
        if as_json:
            typer.echo(json.dumps(report.to_json(), ensure_ascii=False, indent=2))
        else:
            show(report, Console())
        if out is not None and surveyor.heat is not None:
            save(draw(report, surveyor.empty_room(), surveyor.heat), out)
            typer.echo(f"roomtone: wrote {out}", err=True)
