"""`roomtone dashboard`: all rooms of a broker in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_runtime.commands.broker_options import BrokerUrl, CaFile, ClientCert, ClientKey, mqtt_section

app = typer.Typer(add_completion=False)


@app.command()
def dashboard(
    broker: BrokerUrl,
    store: Annotated[
        str | None,
        typer.Option(
            help="history: sqlite:///FILE, postgresql://USER@HOST/NAME, or none; "
            "default: a file in the state directory"
        ),
    ] = None,
    collect: Annotated[
        bool, typer.Option(help="write the history too; --no-collect: `roomtone collect` does, this reads it")
    ] = True,
    alerts: Annotated[
        Path | None, typer.Option(help="rules, TOML (see `roomtone alerts check`); once for each broker")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="of the page; 0: any free one")] = 8080,
    host: Annotated[
        str | None,
        typer.Option(help="address to listen on; default: this machine only, with a token everywhere"),
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="ask for the token in this file before showing anything")
    ] = None,
    user_header: Annotated[
        str | None, typer.Option(help="request header in which a proxy names the user that it let in")
    ] = None,
    proxy: Annotated[
        list[str] | None,
        typer.Option(help="address that is believed when it sends --user-header; default: this machine"),
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="serve https: the page's certificate, PEM")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="its private key, PEM")] = None,
    ca_file: CaFile = None,
    client_cert: ClientCert = None,
    client_key: ClientKey = None,
) -> None:
    r"""Shows all rooms that publish on a broker, in a browser.

    User and password of the broker come from ROOMTONE_MQTT_USERNAME and ROOMTONE_MQTT_PASSWORD; the browser
    never sees them. Without a token or a proxy, only this machine can open the page.

    \b
    roomtone dashboard --broker mqtt://broker.school:1883
    roomtone dashboard --broker mqtts://broker.school:8883 --ca-file ca.pem --token-file /etc/roomtone/token
    roomtone dashboard --broker mqtt://localhost --user-header X-Forwarded-User   # behind a proxy that asks
    """
    from edge_runtime.alerts.rules import load_rules
    from edge_runtime.dashboard.access import Access, bind_address, read_token
    from edge_runtime.dashboard.service import DashboardSettings, chosen_store, serve, tls_files
    from edge_runtime.publishing.credentials import load_credentials

    mqtt = mqtt_section(broker, ca_file, client_cert, client_key)
    access = Access.chosen(
        token=None if token_file is None else read_token(token_file), user_header=user_header, proxies=proxy
    )
    settings = DashboardSettings(
        mqtt,
        load_credentials(),
        host=bind_address(access, host),
        port=port,
        store_url=chosen_store(store),
        collects=collect,
        rules=None if alerts is None else load_rules(alerts),
        tls=tls_files(tls_cert, tls_key),
        access=access,
    )
    serve(settings, announce=lambda url: typer.echo(f"The dashboard is at {url} (Ctrl-C ends it)"))
