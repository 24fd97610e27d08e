"""`roomtone config`: check, explain and print configurations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from edge_runtime.config import Config, config_schema, trial_config
from edge_runtime.config_file import load_config, to_toml, toml_value
from edge_runtime.frames.address import masked

app = typer.Typer(add_completion=False, help="Check, explain and print configurations.", no_args_is_help=True)


_Files = Annotated[
    list[Path],
    typer.Argument(metavar="FILE…", help="TOML files, or folders of site.toml, room.toml, camera.toml"),
]
_Json = Annotated[bool, typer.Option("--json", help="machine-readable")]


@app.command()
def validate(files: _Files, as_json: _Json = False) -> None:
    """Checks a configuration whole and lists all its faults at once; also refuses a use that the law prohibits.

    roomtone config validate /etc/roomtone
    """
    from edge_runtime.errors import ConfigurationError
    from edge_runtime.lawful import check_lawful

    try:
        config = load_config(*files)
    except ConfigurationError as error:
        if not as_json:
            raise
        faults = [{"key": f.key, "problem": f.problem, "line": f.line, "file": f.file} for f in error.faults]
        typer.echo(json.dumps({"valid": False, "faults": faults}))
        raise typer.Exit(error.exit_code) from error
    check_lawful(config.deployment)
    names = ", ".join(map(str, files))
    typer.echo(json.dumps({"valid": True, "faults": []}) if as_json else f"{names} is valid")


@app.command()
def schema() -> None:
    """Prints the JSON Schema: every key with its type, range, default and meaning."""
    typer.echo(json.dumps(config_schema(), indent=2))


@app.command()
def docs() -> None:
    """Prints docs/configuration.md: the same in Markdown, with the device profiles."""
    from edge_runtime.config_docs import configuration_page

    typer.echo(configuration_page(), nl=False)


@app.command()
def show(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE…]", help="TOML files or folders; the defaults when absent"),
    ] = None,
    trial: Annotated[bool, typer.Option(help="the built-in trial configuration")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="which layer set each key, and why a profile did")
    ] = False,
    as_json: _Json = False,
) -> None:
    r"""Prints a configuration whole, defaults filled in, each key with its meaning; a file to start from.

    A password in a camera's url is masked.

    \b
    roomtone config show > config.toml
    roomtone config show /etc/roomtone
    roomtone config show --explain /etc/roomtone
    """
    from edge_runtime.config_layers import Layered, read_layers

    layered = read_layers(*files) if files else Layered(trial_config() if trial else Config(), ())
    config = layered.config
    shown = config.camera.model_copy(update={"source": masked(config.camera.source)})
    config = config.model_copy(update={"camera": shown})
    if not explain:
        typer.echo(config.model_dump_json(indent=2) if as_json else to_toml(config), nl=as_json)
        return
    rows = [
        {"key": f"{name}.{key}", "value": value, "from": layered.origin(name, key)}
        for name, section in config.model_dump(mode="json").items()
        for key, value in section.items()
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        value = "(not set)" if row["value"] is None else toml_value(row["value"])
        typer.echo(f"{row['key']} = {value:<{max(1, 46 - len(row['key']))}}  {row['from']}")


@app.command()
def migrate(
    file: Annotated[Path, typer.Argument(help="TOML file of an earlier version")],
    write: Annotated[
        bool, typer.Option("--write", help="replace the file; the old one is kept as FILE.old")
    ] = False,
) -> None:
    """Prints a file in this version, with its comments; `--write` replaces it.

    roomtone config migrate /etc/roomtone/site.toml --write
    """
    from edge_runtime.config_layers import read_layers
    from edge_runtime.config_migration import rewritten
    from edge_runtime.file_writing import write_whole

    read_layers(file)  # only a file without faults is worth keeping
    text = file.read_text(encoding="utf-8")
    new = rewritten(text, origin=str(file))
    if not write:
        typer.echo(new, nl=False)
    elif new == text:
        typer.echo(f"{file} is of this version already")
    else:
        write_whole(file.with_name(f"{file.name}.old"), text.encode(), mode=file.stat().st_mode & 0o777)
        write_whole(file, new.encode(), mode=file.stat().st_mode & 0o777)
        typer.echo(f"{file} is of this version now; {file.name}.old is what it was")
