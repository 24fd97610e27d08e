"""`roomtone watch`: all rooms of a broker, live."""

from __future__ import annotations

from typing import Annotated

import typer

from edge_runtime.commands.broker_options import BrokerUrl, CaFile, ClientCert, ClientKey, mqtt_section

app = typer.Typer(add_completion=False)


@app.command()
def watch(
    broker: BrokerUrl,
    ca_file: CaFile = None,
    client_cert: ClientCert = None,
    client_key: ClientKey = None,
    seconds: Annotated[float | None, typer.Option(min=0, help="end after so long; else with Ctrl-C")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="each window as one JSON line")] = False,
) -> None:
    r"""Shows all rooms that publish on a broker: a live table, or lines when not on a terminal.

    User and password come from ROOMTONE_MQTT_USERNAME and ROOMTONE_MQTT_PASSWORD.

    \b
    roomtone watch --broker mqtt://broker.school:1883
    roomtone watch --broker mqtts://broker.school:8883 --ca-file ca.pem --json | jq .dominant
    """
    from edge_runtime.publishing.credentials import load_credentials
    from edge_runtime.publishing.watch import watch as watch_rooms

    mqtt = mqtt_section(broker, ca_file, client_cert, client_key)
    watch_rooms(mqtt, load_credentials(), duration_s=seconds, json_lines=as_json)
