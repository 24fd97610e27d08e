"""`roomtone deprovision`: takes a device down."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)


@app.command()
def deprovision(
    root: Annotated[Path, typer.Option(help="below this folder, as with provision")] = Path("/"),
    keep_state: Annotated[
        bool,
        typer.Option("--keep-state", help="leave the outbox, with events that the broker does not have yet"),
    ] = False,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="leave what the broker retains; roomtone mqtt forget clears it later"),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what would go; remove nothing")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False,
) -> None:
    r"""Stops the device, clears what the broker retains of it, and removes all of its files, secrets included.

    \b
    sudo roomtone deprovision
    sudo roomtone deprovision --keep-state --yes
    """
    from edge_runtime.provisioning import deprovision as taking_down
    from edge_runtime.provisioning.layout import Layout

    removal = taking_down.find_removal(Layout(root.resolve()), keep_state=keep_state, offline=offline)
    typer.echo("\n".join(f"remove  {path}" for path in removal.paths))
    if dry_run:
        return
    if not yes:
        typer.confirm(f"Remove {removal.name}?", abort=True)
    taking_down.stop(removal)
    if not offline:
        typer.echo(f"{taking_down.clear_retained(removal)} retained topics cleared")
    taking_down.remove(removal)
    typer.echo(f"{removal.name} is removed")
