"""`roomtone watch`: all rooms of a broker, live."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)


@app.command()
def watch(
    broker: Annotated[str, typer.Option(help="mqtt://host[:port] or mqtts://host[:port]")],
    ca_file: Annotated[
        Path | None, typer.Option(help="authority that signed the broker's certificate, PEM")
    ] = None,
    client_cert: Annotated[Path | None, typer.Option(help="our certificate, PEM")] = None,
    client_key: Annotated[Path | None, typer.Option(help="our private key, PEM")] = None,
    seconds: Annotated[float | None, typer.Option(min=0, help="end after so long; else with Ctrl-C")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="each window as one JSON line")] = False,
) -> None:
    r"""Shows all rooms that publish on a broker: a live table, or lines when not on a terminal.

    User and password come from ROOMTONE_MQTT_USERNAME and ROOMTONE_MQTT_PASSWORD.

    \b
    roomtone watch --broker mqtt://broker.school:1883
    roomtone watch --broker mqtts://broker.school:8883 --ca-file ca.pem --json | jq .dominant
    """
    from edge_runtime.commands.overrides import override
    from edge_runtime.config import Config
    from edge_runtime.publishing.credentials import load_credentials
    from edge_runtime.publishing.watch import watch as watch_rooms

    files = {"ca_file": ca_file, "client_cert": client_cert, "client_key": client_key}
    mqtt = override(Config(), {"mqtt": {"url": broker, **files}}).mqtt
    watch_rooms(mqtt, load_credentials(), duration_s=seconds, json_lines=as_json)
