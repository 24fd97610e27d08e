"""`roomtone support-bundle`: one archive for a maintainer, without secrets and without pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)


@app.command("support-bundle")
def support_bundle(
    out: Annotated[Path, typer.Option(help="archive to write, .zip")],
    config: Annotated[
        list[Path] | None,
        typer.Option(help="TOML file, or folder of layers; may be repeated. A built-in trial when absent"),
    ] = None,
    credentials: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="folder with mqtt_username and mqtt_password; credentials/ beside the configuration when absent",
        ),
    ] = None,
    log: Annotated[
        list[Path] | None, typer.Option(help="a log file to take in beside the journal; may be repeated")
    ] = None,
    lines: Annotated[int, typer.Option(min=0, max=100_000, help="of each log, the last")] = 2000,
) -> None:
    r"""Writes an archive to send with a bug report: the doctor's findings, configuration, versions, logs.

    Passwords and keys are masked; pictures and events are not in it. Look into it before you send it.

    \b
    roomtone support-bundle --config /etc/roomtone --out support.zip
    """
    from edge_runtime.commands.by_hand import environment_of_service
    from edge_runtime.commands.progress import work_progress
    from edge_runtime.provisioning.doctor.configuration import read
    from edge_runtime.provisioning.doctor.doctor import groups_of, number_of_checks
    from edge_runtime.provisioning.doctor.examination import examine
    from edge_runtime.provisioning.support.archive import collect, write

    environ = environment_of_service(config or [], credentials)
    settings, found = read(config or [])
    groups = groups_of(found, settings, environ)
    with work_progress() as progress:
        task = progress.add_task("looking", total=number_of_checks(groups), note="")
        report = examine(groups, lambda title: progress.update(task, advance=1, note=title))
    parts = collect(config or [], settings, report, environ, logs=log or [], log_lines=lines)
    write(parts, out)
    for part in parts:
        typer.echo(f"  {part.name:<28} {part.about}", err=True)
    typer.echo(f"roomtone: wrote {out}; look into it before you send it", err=True)
