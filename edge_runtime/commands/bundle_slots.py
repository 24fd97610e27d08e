"""`roomtone bundle install|activate|commit|rollback|list`: the slots of this device."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from edge_runtime.config import Config
from edge_runtime.errors import CandidateRefusedError, UpdateError
from edge_runtime.updates.slot_table import Candidate, SlotTable, Waiver
from edge_runtime.updates.slots import Slots
from edge_runtime.updates.starting import cli_configuration, cli_state_directory, open_slots

app = typer.Typer(add_completion=False)

_POLL_S = 0.5
_AGENT_AWAY_S = 30.0  # an agent that is being restarted comes back within it

_Config = Annotated[
    list[Path] | None,
    typer.Option(help="the device's configuration, file or folder; found by itself beside a service"),
]
_State = Annotated[
    Path | None, typer.Option(help="the service's state directory; found by itself where it is the usual one")
]
_Json = Annotated[bool, typer.Option("--json", help="machine-readable")]


def _open(config: list[Path] | None, state: Path | None) -> tuple[Slots, Config]:
    from edge_runtime.config_file import load_config

    if not config and state is None:
        config = cli_configuration()
    settings = load_config(*config) if config else Config()
    return open_slots(settings.updates, state or cli_state_directory()), settings


@app.command()
def install(
    source: Annotated[
        str, typer.Argument(help="a bundle's directory, a .tar or .zip of it, or an https url")
    ],
    sha256: Annotated[str | None, typer.Option(help="digest that the archive must have")] = None,
    allow_downgrade: Annotated[
        bool, typer.Option("--allow-downgrade", help="take it although it is older than the version floor")
    ] = False,
    config: _Config = None,
    state: _State = None,
    as_json: _Json = False,
) -> None:
    r"""Brings a bundle onto this device as the candidate; what runs is not touched.

    Checks every digest, the signature where the configuration requires one, and the version. A download that broke goes
    on where it stopped.

    \b
    roomtone bundle install hafnet-1.2.0.tar
    roomtone bundle install https://school.example/bundles/hafnet-1.2.0.tar --config /etc/roomtone
    """
    from edge_runtime.commands.progress import work_progress
    from edge_runtime.updates.installing import install as install_bundle

    slots, settings = _open(config, state)
    waivers: tuple[Waiver, ...] = ("version",) if allow_downgrade else ()
    with work_progress() as bar:
        task = bar.add_task("downloading", total=None, note="", visible="://" in source)
        candidate = install_bundle(
            slots,
            source,
            settings.updates,
            sha256=sha256,
            waivers=waivers,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if as_json:
        typer.echo(candidate.model_dump_json())
    else:
        typer.echo(f"{candidate} is installed as the candidate; next: roomtone bundle activate")


@app.command()
def activate(
    allow_new_labels: Annotated[
        bool, typer.Option("--allow-new-labels", help="take labels that dashboards may not know")
    ] = False,
    wait: Annotated[
        bool, typer.Option(help="stay until the running agent has committed it or sent it back")
    ] = True,
    config: _Config = None,
    state: _State = None,
    as_json: _Json = False,
) -> None:
    r"""Examines the candidate on this CPU and gives it to the agent for its trial.

    Its labels, its measured accuracy, its golden outputs and its speed are held against the current bundle. Then
    the agent runs it beside the current one on live faces, then in its place for a while; it commits or sends back
    by itself.
    Ends with 20 when it is refused or sent back; what ran before goes on running.

    \b
    roomtone bundle activate --config /etc/roomtone
    roomtone bundle activate --no-wait
    """
    from edge_runtime.updates.activation import activate as activate_candidate

    slots, settings = _open(config, state)
    waivers: tuple[Waiver, ...] = ("labels",) if allow_new_labels else ()
    candidate = slots.table().candidate
    examination = activate_candidate(slots, settings, waivers)
    if not as_json:
        for check in examination.checks:
            typer.echo(f"  {'ok  ' if check.passed else 'FAIL'} {check.name:<8} {check.detail}")
    examination.require(str(candidate))
    assert candidate is not None  # noqa: S101 - it was just examined
    follows = wait and slots.has_agent()
    if follows and not as_json:
        typer.echo(f"{candidate} is with the running agent: shadow, then trial (Ctrl-C leaves it there)")
    outcome = _follow(slots, candidate, quiet=as_json) if follows else "checked"
    if as_json:
        checks = [{"name": c.name, "passed": c.passed, "detail": c.detail} for c in examination.checks]
        typer.echo(json.dumps({"outcome": outcome, "checks": checks}))
    elif outcome == "committed":
        typer.echo(f"{candidate} is committed and runs")
    elif outcome == "checked":
        typer.echo(
            f"{candidate} passed; the agent takes it from here at its next start, "
            "or commit it without a trial: roomtone bundle commit"
        )


def _follow(slots: Slots, candidate: Candidate, *, quiet: bool) -> str:
    """Waits for the end of a trial.

    Raises:
        CandidateRefusedError: it was sent back.
    """
    phase, alone = "", 0
    while True:
        table = slots.table()
        if table.candidate is None or table.candidate.digest != candidate.digest:
            break
        if table.candidate.phase != phase and not quiet:
            phase = table.candidate.phase
            typer.echo(
                {"checked": "  in the shadow of the current bundle ...", "trial": "  on trial ..."}.get(
                    phase, phase
                )
            )
        alone = 0 if slots.has_agent() else alone + 1
        if alone * _POLL_S > _AGENT_AWAY_S:
            return "checked"
        time.sleep(_POLL_S)
    if table.current is not None and table.current.digest == candidate.digest:
        return "committed"
    reason = table.rejected.reason if table.rejected is not None else "another candidate took its place"
    raise CandidateRefusedError(str(candidate), [reason])


@app.command()
def commit(config: _Config = None, state: _State = None, as_json: _Json = False) -> None:
    r"""Makes a candidate that passed its checks the current bundle, without waiting for the end of its trial.

    Its version becomes the floor: nothing older is taken any more.

    \b
    roomtone bundle commit
    """
    slots, _ = _open(config, state)
    slot = slots.commit()
    typer.echo(
        slot.model_dump_json() if as_json else f"{slot} is committed; a running agent changes over at once"
    )


@app.command()
def rollback(config: _Config = None, state: _State = None, as_json: _Json = False) -> None:
    r"""Sends the activated candidate back, or else the current bundle: what ran before runs again.

    \b
    roomtone bundle rollback
    """
    slots, _ = _open(config, state)
    rejected = slots.rollback("rolled back by the operator")
    if as_json:
        typer.echo(rejected.model_dump_json())
        return
    current = slots.table().current
    typer.echo(f"{rejected} is sent back; {current or 'the bundle that ships'} runs")


@app.command()
def outcome(
    bundle: Annotated[
        str | None, typer.Argument(help="NAME@VERSION or digest; whatever was activated last when absent")
    ] = None,
    config: _Config = None,
    state: _State = None,
    as_json: _Json = False,
) -> None:
    r"""Says how an activation ended, for update tools: 0 committed, 1 sent back, 21 not decided yet.

    \b
    roomtone bundle outcome hafnet@1.2.0 || echo $?
    """
    slots, _ = _open(config, state)
    word, why = slots.table().outcome(bundle)
    typer.echo(json.dumps({"outcome": word, "why": why}) if as_json else f"{word}: {why}")
    raise typer.Exit({"committed": 0, "undecided": 21}.get(word, 1))


@app.command("list")
def list_slots(config: _Config = None, state: _State = None, as_json: _Json = False) -> None:
    r"""Shows the slots of this device: current, previous, candidate, and what was last sent back and why.

    \b
    roomtone bundle list --json | jq .candidate.phase
    """
    slots, _ = _open(config, state)
    table = slots.table()
    running = slots.running()
    if as_json:
        document: dict[str, Any] = table.model_dump(mode="json", by_alias=True, exclude_none=True)
        manifest = running.bundle.manifest
        document["runs"] = {
            "slot": running.slot,
            "name": manifest.name,
            "version": manifest.version,
            "digest": running.bundle.digest,
            "problem": running.problem,
            "agent": slots.has_agent(),
        }
        typer.echo(json.dumps(document))
        return
    for line in _lines(slots, table):
        typer.echo(line)
    if running.problem:
        raise UpdateError(
            f"a start would run the bundle of the slot “{running.slot}”: {running.problem}",
            hint="install the bundle again",
        )


def _lines(slots: Slots, table: SlotTable) -> list[str]:
    ships = "the bundle that ships"
    previous = "" if table.current is None else table.previous or ships
    lines = [f"current    {table.current or ships}", f"previous   {previous or '–'}"]
    candidate = table.candidate
    if candidate is not None:
        tries = f", attempt {candidate.attempts}" if candidate.attempts else ""
        allowed = f", allowed: {', '.join(candidate.waivers)}" if candidate.waivers else ""
        lines.append(f"candidate  {candidate} ({candidate.phase}{tries}{allowed})")
    else:
        lines.append("candidate  –")
    if table.rejected is not None:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(table.rejected.ts))
        lines.append(f"refused    {table.rejected} on {when}: {table.rejected.reason}")
    lines += [f"floor      {name} {version}" for name, version in table.floors.items()]
    lines.append(
        f"agent      {'at work' if slots.has_agent() else 'not running on these slots'}   {slots.folder}"
    )
    return lines
