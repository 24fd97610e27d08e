"""`roomtone config`: check, explain and print configurations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from edge_runtime.config import Config, config_schema, trial_config
from edge_runtime.config_file import load_config, to_toml
from edge_runtime.frames.address import masked

app = typer.Typer(add_completion=False, help="Check, explain and print configurations.", no_args_is_help=True)


@app.command()
def validate(
    file: Annotated[Path, typer.Argument(help="TOML file")],
    as_json: Annotated[bool, typer.Option("--json", help="faults as JSON on stdout")] = False,
) -> None:
    """Checks a file whole and lists all its faults at once; also refuses a use that the law prohibits.

    roomtone config validate /etc/roomtone/config.toml
    """
    from edge_runtime.errors import ConfigurationError
    from edge_runtime.lawful import check_lawful

    try:
        config = load_config(file)
    except ConfigurationError as error:
        if not as_json:
            raise
        faults = [{"key": f.key, "problem": f.problem, "line": f.line} for f in error.faults]
        typer.echo(json.dumps({"valid": False, "faults": faults}))
        raise typer.Exit(error.exit_code) from error
    check_lawful(config.deployment)
    typer.echo(json.dumps({"valid": True, "faults": []}) if as_json else f"{file} is valid")


@app.command()
def schema() -> None:
    """Prints the JSON Schema: every key with its type, range, default and meaning."""
    typer.echo(json.dumps(config_schema(), indent=2))


@app.command()
def show(
    file: Annotated[Path | None, typer.Argument(help="TOML file; the defaults when absent")] = None,
    trial: Annotated[bool, typer.Option(help="the built-in trial configuration")] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    r"""Prints a configuration whole, defaults filled in, each key with its meaning; a file to start from.

    A password in a camera's url is masked.

    \b
    roomtone config show > config.toml
    roomtone config show /etc/roomtone/config.toml
    """
    config = load_config(file) if file is not None else trial_config() if trial else Config()
    shown = config.camera.model_copy(update={"source": masked(config.camera.source)})
    config = config.model_copy(update={"camera": shown})
    typer.echo(config.model_dump_json(indent=2) if as_json else to_toml(config), nl=as_json)
