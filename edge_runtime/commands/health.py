"""`roomtone health`: for watchdogs, container health checks and update tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from edge_runtime.status_file import Verdict

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

    Ends with 0 when it is, 1 when it is not, 21 when it is too early to say or the broker is away: ask again. Of
    several cameras on one board the one that is worst off decides.

    \b
    roomtone health
    roomtone health --json | jq .fps
    """
    from edge_runtime.config_file import load_config
    from edge_runtime.config_layers import camera_files
    from edge_runtime.outlet import device_name
    from edge_runtime.status_file import RETRY_LATER, judge, read_status, read_statuses, status_folders

    if config:
        files = camera_files(config)
        cameras = [load_config(*config, file) for file in files] or [load_config(*config)]
        verdicts = {
            device_name(settings.device): judge(
                read_status([folder] if folder else status_folders(settings), settings)
            )
            for settings in cameras
        }
    else:
        told = read_statuses([folder] if folder else status_folders())
        verdicts = {status.place: judge(status) for status in told} or {"": judge(None)}
    worst = max(verdicts.values(), key=lambda verdict: [0, RETRY_LATER, 1].index(verdict.exit_code))
    if as_json:
        several = [_flat(verdict) for verdict in verdicts.values()] if len(verdicts) > 1 else []
        typer.echo(json.dumps(_flat(worst) | ({"devices": several} if several else {})))
    else:
        for place, verdict in verdicts.items():
            prefix = f"{place}: " if len(verdicts) > 1 else ""
            typer.echo(f"{prefix}{verdict.word}: {verdict.why}")
    raise typer.Exit(worst.exit_code)


def _flat(verdict: Verdict) -> dict[str, Any]:
    told = verdict.status.model_dump() if verdict.status is not None else {}
    return {"exit_code": verdict.exit_code, "word": verdict.word, "why": verdict.why, **told}
