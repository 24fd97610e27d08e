"""`roomtone fleet`: bundles for all devices of a broker."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_runtime.commands.broker_options import BrokerUrl, CaFile, ClientCert, ClientKey, mqtt_section

if TYPE_CHECKING:
    from edge_runtime.fleet.link import FleetLink
    from edge_runtime.fleet.rollout import Rollout

app = typer.Typer(
    add_completion=False,
    help="Roll a bundle out to all devices of a broker, group by group; see what they run.",
    no_args_is_help=True,
)
_Devices = Annotated[str, typer.Option(help="shell pattern of SITE/ROOM/DEVICE: which devices are meant")]
_Listen = Annotated[float, typer.Option(min=0.1, help="time to find the devices that are there, s")]
_Json = Annotated[bool, typer.Option("--json", help="machine-readable")]


def _link(broker: str, ca_file: Path | None, cert: Path | None, key: Path | None, devices: str) -> FleetLink:
    from edge_runtime.fleet.link import FleetLink
    from edge_runtime.publishing.credentials import load_credentials

    return FleetLink(mqtt_section(broker, ca_file, cert, key), load_credentials(), devices)


def _share(value: str) -> float:
    match = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)%", value.strip())
    if match is None or float(match[1]) > 100:
        raise typer.BadParameter(f"{value!r} is not per cent, such as 10%")
    return float(match[1]) / 100


@app.command()
def rollout(
    bundle: Annotated[str, typer.Option(help="NAME@VERSION, or an https url of a signed bundle's archive")],
    broker: BrokerUrl,
    groups: Annotated[
        str, typer.Option(help="who is first: NAME=N% or NAME=N, in order, and rest")
    ] = "canary=5%,rest",
    sha256: Annotated[str | None, typer.Option(help="digest that the archive must have")] = None,
    max_failures: Annotated[
        str, typer.Option(help="so many of a group's devices may fail; one more ends the rollout")
    ] = "10%",
    min_success: Annotated[
        str, typer.Option(help="so many of those that were asked must succeed before the next group")
    ] = "90%",
    on_failure: Annotated[
        str, typer.Option(help="rollback: also undo what was activated; stop: leave it")
    ] = "rollback",
    at_once: Annotated[int, typer.Option(min=1, help="devices at work at the same time")] = 20,
    device_timeout: Annotated[
        float, typer.Option(min=0.01, help="time for a device to come to an end, h")
    ] = 4.0,
    answer_timeout: Annotated[float, typer.Option(min=0.1, help="time for an answer, s")] = 30.0,
    confirm: Annotated[bool, typer.Option("--confirm", help="ask before each further group")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="going on, ask those again that failed")
    ] = False,
    pause_file: Annotated[
        Path | None, typer.Option(help="while this file is there, no other device begins")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="where the rollout is kept; by default rollout-BUNDLE.json here")
    ] = None,
    devices: _Devices = "*",
    listen: _Listen = 3.0,
    ca_file: CaFile = None,
    client_cert: ClientCert = None,
    client_key: ClientKey = None,
    as_json: _Json = False,
) -> None:
    r"""Brings a bundle to all devices, first to a few of them; goes on with a rollout that was interrupted.

    Each device fetches the bundle, holds it against the one it runs and decides for itself (updates.allow_remote).
    Ctrl-C pauses: devices at work go on by themselves, and the same command goes on where it was. Ends with 20 when the
    rollout was stopped or undone. User and password come from ROOMTONE_MQTT_USERNAME and ROOMTONE_MQTT_PASSWORD.

    \b
    roomtone fleet rollout --bundle hafnet@1.2.0 --groups canary=5%,rest --broker mqtts://broker.school
    roomtone fleet rollout --bundle https://school.example/hafnet-1.2.0.tar --broker mqtt://broker --confirm
    """
    from edge_runtime.errors import UpdateError
    from edge_runtime.fleet.ledger import read_ledger
    from edge_runtime.fleet.rollout import Limits, Rollout, add_new_devices, new_ledger

    if on_failure not in ("rollback", "stop"):
        raise typer.BadParameter("is rollback or stop", param_hint="--on-failure")
    limits = Limits(
        max_failures=_share(max_failures),
        min_success=_share(min_success),
        at_once=at_once,
        device_s=device_timeout * 3600,
        answer_s=answer_timeout,
    )
    path = state or Path(f"rollout-{re.sub(r'[^a-z0-9.]+', '-', bundle.lower()).strip('-')[-60:]}.json")
    with _link(broker, ca_file, client_cert, client_key, devices) as link:
        link.discover(listen)
        if path.exists():
            ledger = read_ledger(path)
            if (ledger.bundle, ledger.groups) != (bundle, groups):
                raise UpdateError(
                    f"{path} is of a rollout of {ledger.bundle} to {ledger.groups}",
                    hint="give another --state, or the same --bundle and --groups",
                )
            add_new_devices(ledger, sorted(link.devices))
        else:
            ledger = new_ledger(bundle, groups, sorted(link.devices), sha256=sha256)
        if not ledger.devices:
            raise UpdateError(f"no device on {broker} answers to {devices}", hint="look with roomtone watch")
        work = Rollout(link, ledger, path, limits, undo_on_failure=on_failure == "rollback")
        if retry_failed:
            work.retry("failed")
        _conduct(
            work,
            link,
            path,
            as_json=as_json,
            is_paused=lambda: pause_file is not None and pause_file.exists(),
            confirm=confirm,
        )


@app.command()
def abort(
    state: Annotated[Path, typer.Option(help="file of the rollout")],
    broker: BrokerUrl,
    answer_timeout: Annotated[float, typer.Option(min=0.1, help="time for an answer, s")] = 30.0,
    listen: _Listen = 3.0,
    ca_file: CaFile = None,
    client_cert: ClientCert = None,
    client_key: ClientKey = None,
    as_json: _Json = False,
) -> None:
    r"""Ends a rollout and rolls back every device on which it activated the bundle.

    \b
    roomtone fleet abort --state rollout-hafnet-1.2.0.json --broker mqtts://broker.school
    """
    from edge_runtime.fleet.ledger import read_ledger
    from edge_runtime.fleet.rollout import Limits, Rollout

    ledger = read_ledger(state)
    ledger.verdict, ledger.why = "aborting", "aborted by the operator"
    with _link(broker, ca_file, client_cert, client_key, "*") as link:
        link.discover(listen)
        work = Rollout(link, ledger, state, Limits(answer_s=answer_timeout))
        _conduct(work, link, state, as_json=as_json)


@app.command()
def status(
    broker: BrokerUrl,
    devices: _Devices = "*",
    listen: _Listen = 3.0,
    ca_file: CaFile = None,
    client_cert: ClientCert = None,
    client_key: ClientKey = None,
    as_json: _Json = False,
) -> None:
    r"""Shows every device: whether it is there, its health, the bundle it runs, and its update.

    \b
    roomtone fleet status --broker mqtt://broker.school
    roomtone fleet status --broker mqtt://broker.school --json | jq '.[] | select(.online == 0).device'
    """
    from rich.console import Console

    from edge_runtime.fleet.status import ask_all
    from edge_runtime.fleet.table import fleet_table

    with _link(broker, ca_file, client_cert, client_key, devices) as link:
        health = ask_all(link, listen)
        if as_json:
            rows: list[dict[str, Any]] = [
                {
                    "device": name,
                    "online": int(presence.is_online),
                    "bundle": presence.bundle,
                    **health.get(name, {}),
                }
                for name, presence in sorted(link.devices.items())
            ]
            typer.echo(json.dumps(rows))
        else:
            Console().print(fleet_table(link.devices, health))


def _conduct(
    work: Rollout,
    link: FleetLink,
    path: Path,
    *,
    as_json: bool,
    confirm: bool = False,
    is_paused: Callable[[], bool] = lambda: False,
) -> None:
    """Runs a rollout with its table, or its JSON at the end; exit codes."""
    from rich.console import Console
    from rich.live import Live

    from edge_runtime.errors import UpdateError
    from edge_runtime.fleet.table import rollout_table

    ledger = work.ledger
    console = Console(stderr=as_json)
    live = Live(console=console, auto_refresh=False, transient=as_json)

    def show() -> None:
        note = link.problem or ("paused by --pause-file" if is_paused() else "")
        if console.is_terminal:
            live.update(rollout_table(ledger, note=note), refresh=True)

    def ask(group: str) -> bool:
        if not confirm:
            return True
        live.stop()
        answer = typer.confirm(f"Go on with the group {group}?", default=False, err=True)
        live.start()
        return answer

    try:
        with live:
            work.run(show=show, is_paused=is_paused, may_go_on=ask)
    except KeyboardInterrupt:
        sys.stderr.write("\n")
    if as_json:
        typer.echo(ledger.model_dump_json(by_alias=True))
    elif not console.is_terminal:
        console.print(rollout_table(ledger))
    if ledger.verdict == "paused":
        typer.echo(
            f"paused ({ledger.why}); the same command goes on, "
            f"roomtone fleet abort --state {path} rolls back what was activated",
            err=True,
        )
        raise typer.Exit(130)
    if ledger.verdict != "done":
        undone = f"; {ledger.count('undone')} devices are rolled back" if ledger.verdict == "aborted" else ""
        raise UpdateError(
            f"the rollout is {ledger.verdict}: {ledger.why}{undone}", hint=f"{path} has every device"
        )
    if offline := ledger.count("skipped"):
        typer.echo(
            f"{offline} devices were not there or not well: the same command goes on with them", err=True
        )
