"""`roomtone collect`: what rooms publish, into a database."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from edge_runtime.commands.broker_options import BrokerUrl, CaFile, ClientCert, ClientKey, mqtt_section

app = typer.Typer(add_completion=False)


@app.command()
def collect(
    broker: BrokerUrl,
    store: Annotated[
        str | None,
        typer.Option(
            help="sqlite:///file or postgresql://user@host/name; SQLite in the state directory if absent"
        ),
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="collectors of one group share the events ($share); alone when absent")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="of this collector, unique on the broker; the host's if absent")
    ] = None,
    alerts: Annotated[
        Path | None, typer.Option(help="rules, TOML (see `roomtone alerts check`); once for each broker")
    ] = None,
    keep_days: Annotated[
        float, typer.Option(min=1, help="single windows and episodes are kept so long")
    ] = 60,
    keep_stats_days: Annotated[float, typer.Option(min=1, help="devices' health")] = 14,
    keep_hours_days: Annotated[float, typer.Option(min=1, help="hourly means")] = 400,
    ca_file: CaFile = None,
    client_cert: ClientCert = None,
    client_key: ClientKey = None,
    seconds: Annotated[float | None, typer.Option(min=0, help="end after so long; else with Ctrl-C")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="the counters as a JSON line each minute")] = False,
) -> None:
    r"""Writes windows, episodes and health of all rooms into a database, each event once.

    What is published while it is away comes when it is back. User and password of the broker come from
    ROOMTONE_MQTT_USERNAME and ROOMTONE_MQTT_PASSWORD, that of PostgreSQL from ROOMTONE_STORE_PASSWORD.

    \b
    roomtone collect --broker mqtt://broker.school:1883
    roomtone collect --broker mqtt://broker.school:1883 --store sqlite:////var/lib/roomtone/history.sqlite3
    roomtone collect --broker mqtt://broker.school:1883 --alerts alerts.toml
    roomtone collect --broker mqtts://broker.school --store postgresql://roomtone@db.school/roomtone --group night
    """
    from edge_runtime.commands.foreground import ends_on_sigterm
    from edge_runtime.history.collecting import collect as collect_events
    from edge_runtime.history.store import Retention, default_url, open_store
    from edge_runtime.publishing.credentials import load_credentials

    mqtt = mqtt_section(broker, ca_file, client_cert, client_key)
    retention = Retention(windows=keep_days, stats=keep_stats_days, hours=max(keep_hours_days, keep_days))
    credentials = load_credentials()
    with ExitStack() as stack:
        if alerts is not None:
            from edge_runtime.alerts.rules import load_rules
            from edge_runtime.alerts.service import AlertService

            stack.enter_context(AlertService(mqtt, credentials, load_rules(alerts)))
        opened = stack.enter_context(open_store(store or default_url()))
        should_stop = stack.enter_context(ends_on_sigterm())
        collect_events(
            mqtt,
            credentials,
            opened,
            group=group,
            name=name,
            retention=retention,
            duration_s=seconds,
            json_lines=as_json,
            should_stop=should_stop,
        )
