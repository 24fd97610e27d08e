"""`roomtone doctor`: what is wrong with this device, and what to do about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)


@app.command()
def doctor(
    config: Annotated[
        list[Path] | None,
        typer.Option(help="TOML file, or folder of layers; may be repeated. A built-in trial when absent"),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="look at this camera instead of the configured one")
    ] = None,
    broker: Annotated[
        str | None, typer.Option(help="look at this broker instead: mqtt[s]://host[:port]")
    ] = None,
    credentials: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="folder with mqtt_username and mqtt_password; credentials/ beside the configuration when absent",
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="a warning is a failure, too")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable")] = False,
) -> None:
    r"""Looks at camera, engine, board, clock and broker; each line says what to do next.

    Ends with 0 when nothing failed, else with 1. Changes nothing, and leaves no trace on the broker.

    \b
    roomtone doctor --config /etc/roomtone
    roomtone doctor --source 0 --broker mqtt://broker.school:1883
    roomtone doctor --config config.toml --json | jq '.checks[] | select(.status == "fail")'
    """
    from rich.console import Console

    from edge_runtime.commands.by_hand import environment_of_service
    from edge_runtime.commands.overrides import broker_section, override
    from edge_runtime.commands.progress import work_progress
    from edge_runtime.provisioning.doctor.configuration import read
    from edge_runtime.provisioning.doctor.doctor import groups_of, number_of_checks
    from edge_runtime.provisioning.doctor.examination import examine
    from edge_runtime.provisioning.doctor.report import table

    settings, found = read(config or [])
    if settings is not None:
        settings = override(settings, {"camera": {"source": source}, "mqtt": broker_section(broker)})
    environ = environment_of_service(config or [], credentials)
    groups = groups_of(found, settings, environ)
    with work_progress() as progress:
        task = progress.add_task("looking", total=number_of_checks(groups), note="")
        report = examine(groups, lambda title: progress.update(task, advance=1, note=title))
    if as_json:
        typer.echo(json.dumps(report.to_json(), ensure_ascii=False, indent=2))
    else:
        console = Console()
        console.print(table(report))
        console.print(f"\n{report.summary()}")
    raise typer.Exit(report.exit_code(strict=strict))
