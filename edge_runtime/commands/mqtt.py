"""`roomtone mqtt`: the contract with the broker's other users, and clearing what a device left there."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    add_completion=False,
    help="The published contract: JSON Schemas, AsyncAPI; clear what a device left on a broker.",
    no_args_is_help=True,
)


class View(StrEnum):
    """Whose AsyncAPI document."""

    device = "device"
    admin = "admin"


@app.command()
def schema(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="emotion, stats, …, or a schema id; all of them when absent"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="write all schemas and the AsyncAPI documents into this folder")
    ] = None,
) -> None:
    r"""Prints the JSON Schema of a payload, or of all by their ids; or writes the whole contract as files.

    \b
    roomtone mqtt schema                        # {"roomtone-emotion/1": {…}, …}
    roomtone mqtt schema emotion > emotion.schema.json
    roomtone mqtt schema --out contract/
    """
    from edge_runtime.publishing.contract import find_schema, json_schemas
    from edge_runtime.publishing.contract_files import as_text, write_contract

    if out is not None:
        if name is not None:
            raise typer.BadParameter("--out writes everything; leave NAME away")
        try:
            written = write_contract(out)
        except OSError as exc:
            raise typer.BadParameter(f"{out} cannot be written: {exc.strerror}") from exc
        for path in written:
            typer.echo(path)
    elif name is not None:
        try:
            typer.echo(as_text(find_schema(name)), nl=False)
        except KeyError as exc:
            raise typer.BadParameter(str(exc.args[0])) from exc
    else:
        typer.echo(as_text(json_schemas()), nl=False)


@app.command()
def asyncapi(
    view: Annotated[
        View, typer.Option(help="the device's own side, or that of whoever listens and commands")
    ] = View.device,
) -> None:
    r"""Prints the AsyncAPI 3 document: topics, messages, QoS and retain flags, for generators and mocks.

    \b
    roomtone mqtt asyncapi > asyncapi.json
    roomtone mqtt asyncapi --view admin > asyncapi.json
    """
    from edge_runtime.publishing.asyncapi import document
    from edge_runtime.publishing.contract_files import as_text

    typer.echo(as_text(document(view.value)), nl=False)
