"""`roomtone simulate`: rooms that do not exist."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from edge_runtime.commands.broker_options import CaFile, mqtt_section

if TYPE_CHECKING:
    from edge_runtime.bundle import Bundle
    from edge_runtime.simulated_fleet.device import Member

app = typer.Typer(
    add_completion=False,
    help="Simulated devices that speak the real contract, for demos and load.",
    no_args_is_help=True,
)


@app.callback()
def _group() -> None:
    """Keeps `fleet` a word of its own while it is the only one."""


@app.command()
def fleet(
    rooms: Annotated[int, typer.Option(min=1, max=20_000, help="how many, one device each")] = 30,
    broker: Annotated[str | None, typer.Option(help="mqtt://host[:port] or mqtts://host[:port]")] = None,
    interval: Annotated[float, typer.Option(min=1, max=3600, help="length of a window, s")] = 10.0,
    stats: Annotated[float, typer.Option(min=1, max=3600, help="between two stats, s")] = 60.0,
    speed: Annotated[float, typer.Option(min=0.01, max=1000, help="simulated seconds in a second")] = 1.0,
    school_hours: Annotated[
        bool, typer.Option("--school-hours", help="lessons at local school hours only; else around the clock")
    ] = False,
    seconds: Annotated[float | None, typer.Option(min=0, help="end after so long; else with Ctrl-C")] = None,
    seed: Annotated[int, typer.Option(help="the same seed, the same fleet")] = 7,
    backfill: Annotated[
        str | None,
        typer.Option(help="write so much past into --store, such as 30d; windows of a minute or more"),
    ] = None,
    store: Annotated[
        str | None, typer.Option(help="for --backfill; SQLite in the state directory if absent")
    ] = None,
    ca_file: CaFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="the totals as JSON on stdout")] = False,
) -> None:
    r"""Runs a fleet of simulated devices: some hot, some without a camera, some with too few people to tell of.

    Everything that they send goes through the device's own privacy stage and payload classes. User and password
    come from ROOMTONE_MQTT_USERNAME and ROOMTONE_MQTT_PASSWORD.

    \b
    roomtone simulate fleet --rooms 30 --broker mqtt://127.0.0.1:1883
    roomtone simulate fleet --rooms 1000 --broker mqtt://broker.test --seconds 60 --json
    roomtone simulate fleet --rooms 30 --backfill 30d --store sqlite:///demo.sqlite3
    """
    from edge_runtime.bundle import default_bundle_path, open_bundle
    from edge_runtime.simulated_fleet.device import members

    if broker is None and backfill is None:
        raise typer.BadParameter("give --broker, --backfill, or both")
    bundle, fleet_members = open_bundle(default_bundle_path()), members(rooms, seed)
    if backfill is not None:
        _backfill(fleet_members, bundle, _days(backfill), store, interval, seed, as_json)
    if broker is not None:
        from edge_runtime.commands.foreground import ends_on_sigterm
        from edge_runtime.publishing.credentials import load_credentials
        from edge_runtime.publishing.endpoint import Endpoint
        from edge_runtime.simulated_fleet.running import FleetPace
        from edge_runtime.simulated_fleet.showing import run_fleet

        mqtt = mqtt_section(broker, ca_file)
        pace = FleetPace(interval_s=interval, stats_s=stats, speed=speed, always_open=not school_hours)
        with ends_on_sigterm() as should_stop:
            run_fleet(
                fleet_members,
                bundle,
                Endpoint.from_section(mqtt, load_credentials()),
                pace,
                seed=seed,
                duration_s=seconds,
                should_stop=should_stop,
                json_lines=as_json,
            )


def _days(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(d|h)", text)
    if match is None:
        raise typer.BadParameter("--backfill is a number of days or hours, such as 30d or 12h")
    return float(match[1]) / (1 if match[2] == "d" else 24)


def _backfill(
    fleet_members: Sequence[Member],
    bundle: Bundle,
    days: float,
    store: str | None,
    interval: float,
    seed: int,
    as_json: bool,
) -> None:
    from edge_runtime.commands.progress import work_progress
    from edge_runtime.history.store import default_url, open_store
    from edge_runtime.simulated_fleet.backfill import backfill

    window_s = max(interval, 60.0)
    with open_store(store or default_url()) as opened, work_progress() as progress:
        task = progress.add_task("rooms", total=len(fleet_members), note="")
        written = backfill(
            fleet_members,
            bundle,
            opened,
            end_ts=time.time(),
            days=days,
            window_s=window_s,
            seed=seed,
            on_room=lambda windows: progress.update(task, advance=1, note=f"{windows} windows"),
        )
        url = opened.url
    typer.echo(json.dumps({"store": url, "windows": written}) if as_json else f"{written} windows in {url}")
