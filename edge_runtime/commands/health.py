"""`roomtone health`: for watchdogs, container health checks and update tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)


@app.command()
def health(
    config: Annotated[
        list[Path] | None,
        typer.Option(help="which device, by its configuration; the one that runs here when absent"),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="where the agent writes its status; the usual places when absent")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable")] = False,
) -> None:
    r"""Says whether the agent on this machine is healthy; needs no broker.

    Ends with 0 when it is, 1 when it is not, 21 when it is too early to say or the broker is away: ask again.

    \b
    roomtone health
    roomtone health --json | jq .fps
    """
    from edge_runtime.config_file import load_config
    from edge_runtime.status_file import judge, read_status, status_folders

    settings = load_config(*config) if config else None
    verdict = judge(read_status([folder] if folder else status_folders(settings), settings))
    if as_json:
        told = verdict.status.model_dump() if verdict.status is not None else {}
        typer.echo(
            json.dumps({"exit_code": verdict.exit_code, "word": verdict.word, "why": verdict.why, **told})
        )
    else:
        typer.echo(f"{verdict.word}: {verdict.why}")
    raise typer.Exit(verdict.exit_code)
