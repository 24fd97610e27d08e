"""`roomtone mqtt`: the contract with the broker's other users, and clearing what a device left there."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from edge_runtime.commands.broker_options import BrokerUrl, CaFile, ClientCert, ClientKey, mqtt_section

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


@app.command()
def forget(
    device: Annotated[
        str, typer.Argument(metavar="DEVICE", help="site/room/device, or its end if that is clear")
    ],
    broker: BrokerUrl,
    ca_file: CaFile = None,
    client_cert: ClientCert = None,
    client_key: ClientKey = None,
    prefix: Annotated[str, typer.Option(help="Home Assistant's discovery prefix")] = "homeassistant",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False,
    force: Annotated[bool, typer.Option("--force", help="also a device that is online")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="what was cleared, as JSON; needs --yes")] = False,
) -> None:
    r"""Clears all that a broker keeps of a device: room, health, Home Assistant's entities. History is not touched.

    For a camera that was taken down, renamed or moved. User and password come from ROOMTONE_MQTT_USERNAME and
    ROOMTONE_MQTT_PASSWORD.

    \b
    roomtone mqtt forget r12/camera-1 --broker mqtt://broker.school:1883
    roomtone mqtt forget north/r12/camera-1 --broker mqtts://broker.school:8883 --ca-file ca.pem --yes
    """
    import json

    from edge_runtime.errors import DeviceOnlineError
    from edge_runtime.publishing.credentials import load_credentials
    from edge_runtime.publishing.endpoint import Endpoint
    from edge_runtime.publishing.forgetting import BrokerMemory

    if as_json and not yes:
        raise typer.BadParameter("--json cannot ask; add --yes")
    mqtt = mqtt_section(broker, ca_file, client_cert, client_key)
    with BrokerMemory(Endpoint.from_section(mqtt, load_credentials()), mqtt.protocol) as memory:
        try:
            remains = memory.of_device(device, prefix=prefix)
        except ValueError as exc:
            raise typer.BadParameter(str(exc)) from exc
        if remains.is_online and not force:
            raise DeviceOnlineError(broker, remains.device.base)
        if not yes:
            typer.echo("\n".join(sorted(remains.retained)))
            typer.confirm(f"Clear these {len(remains.retained)} topics?", abort=True)
        left = memory.clear(remains)
    cleared = sorted(remains.retained.keys() - left.keys())
    if as_json:
        typer.echo(json.dumps({"device": remains.device.base, "cleared": cleared, "left": sorted(left)}))
    else:
        typer.echo(f"{remains.device.base}: {len(cleared)} topics cleared")
    if left:
        typer.echo(f"{len(left)} were said again meanwhile: is the device online?", err=True)
        raise typer.Exit(1)
