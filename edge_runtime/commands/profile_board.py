"""`roomtone profile device|plan|boards`: what a board's calls cost, and what it can carry."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer

_HEIGHTS = {"4k": 2160, "uhd": 2160, "fullhd": 1080, "hd": 720, "vga": 480}
_Json = Annotated[bool, typer.Option("--json", help="machine-readable")]


def device(
    out: Annotated[Path | None, typer.Option(help="perf.json to write; its name names the board")] = None,
    name: Annotated[
        str | None, typer.Option(help="of the kind of board, as raspberry-pi-5-8gb; the file's when absent")
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="bundle directory; the one that ships when absent")
    ] = None,
    broker: Annotated[
        str | None, typer.Option(help="a broker's url: time windows to its acknowledgement, too")
    ] = None,
    as_json: _Json = False,
) -> None:
    r"""Measures this board: what each call of the loop costs, in about two minutes, with simulated faces.

    Close other programs first, and stop the service: systemctl stop roomtone. The file belongs into
    firmware_configs/perf/, where `roomtone profile plan` looks for boards.

    \b
    roomtone profile device --out raspberry-pi-5-8gb.json
    roomtone profile device --broker mqtt://broker.school:1883 --json
    """
    from rich.console import Console
    from rich.progress import Progress

    from edge_runtime.bundle import default_bundle_path, open_bundle
    from edge_runtime.capacity.series import measure_device
    from edge_runtime.capacity.tables import show_board
    from edge_runtime.commands.overrides import broker_section, override
    from edge_runtime.config import trial_config

    kind = name or (out.stem if out is not None else "this-board")
    if re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?", kind) is None:
        raise typer.BadParameter(
            f"{kind!r} names no kind of board: small letters, digits and hyphens; give --name"
        )
    settings = override(trial_config(), {"mqtt": broker_section(broker)})
    opened = open_bundle(bundle or default_bundle_path())
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("")

        def step(what: str, done: int, total: int) -> None:
            progress.update(task, description=what, completed=done, total=total)

        try:
            perf = measure_device(opened, name=kind, config=settings, on_step=step)
        except KeyboardInterrupt:
            typer.echo(
                "roomtone: ended by hand; half a board's costs are of no use, nothing was written", err=True
            )
            raise typer.Exit(130) from None
    if as_json:
        typer.echo(perf.to_json(), nl=False)
    else:
        show_board(perf, Console(highlight=False))
    if out is not None:
        from edge_runtime.commands.profile import write_report

        write_report(out, perf.to_json())


def plan(
    cameras: Annotated[int, typer.Option(min=1, max=64, help="alike, on this one board")] = 1,
    faces: Annotated[float, typer.Option(min=0, max=200, help="that each of them sees")] = 25,
    resolution: Annotated[str, typer.Option(help="720p, 1080p, 1440p, 4k, or WIDTHxHEIGHT")] = "1080p",
    fps: Annotated[float, typer.Option(min=1, max=120, help="of each camera")] = 15.0,
    scan_rate: Annotated[float, typer.Option(min=0.01, max=60, help="faces.scan_rate_hz")] = 2.0,
    follow_rate: Annotated[float, typer.Option(min=0.01, max=60, help="faces.follow_rate_hz")] = 12.5,
    classify_rate: Annotated[
        float,
        typer.Option(
            min=0.01, max=60, help="inference.classify_rate_hz; sequences have the stride of their bundle"
        ),
    ] = 2.0,
    scan_width: Annotated[int, typer.Option(min=160, max=7680, help="faces.scan_width_px")] = 960,
    engine: Annotated[
        str | None, typer.Option(help="such as 'onnxruntime fp32'; the board's own choice when absent")
    ] = None,
    device: Annotated[
        str,
        typer.Option(help="this, a board's name or part of one, or a perf.json; see roomtone profile boards"),
    ] = "this",
    as_json: _Json = False,
) -> None:
    r"""Says whether a board can carry so many cameras and faces, and what to change if it cannot.

    Ends with 25 when they do not fit, or not surely. Only boards with a perf.json are measured; the rest are estimates
    and say so.

    \b
    roomtone profile plan --cameras 4 --faces 25 --device n100
    roomtone profile plan --cameras 2 --faces 22 --resolution 4k --device perf.json
    roomtone profile plan --faces 30 --classify-rate 4 --json
    """
    from rich.console import Console

    from edge_runtime.capacity.model import Demand
    from edge_runtime.capacity.plan import costs_of
    from edge_runtime.capacity.plan import plan as plan_on
    from edge_runtime.capacity.tables import show_plan
    from edge_runtime.errors import TooMuchError

    demand = Demand(
        cameras=cameras,
        faces=faces,
        height_px=_height(resolution),
        fps=fps,
        scan_rate_hz=scan_rate,
        follow_rate_hz=follow_rate,
        classify_rate_hz=classify_rate,
        scan_width_px=scan_width,
        engine=engine or "",
    )
    try:
        answer = plan_on(costs_of(device), demand)
    except ValueError as exc:
        raise typer.BadParameter(str(exc), param_hint="--engine") from exc
    if as_json:
        typer.echo(json.dumps(answer.to_json(), ensure_ascii=False, indent=1))
    else:
        show_plan(answer, Console(highlight=False))
    if answer.verdict != "fits":
        what = "1 camera" if cameras == 1 else f"{cameras} cameras"
        raise TooMuchError(
            f"{what} with {faces:g} faces each: {answer.verdict}", hint="; ".join(answer.advice)
        )


def boards(
    markdown: Annotated[bool, typer.Option("--markdown", help="as docs/boards.md, for make docs")] = False,
    as_json: _Json = False,
) -> None:
    """Lists the boards that were measured, with what their calls cost."""
    from rich.console import Console

    from edge_runtime.capacity.page import boards_page
    from edge_runtime.capacity.perf import measured_boards
    from edge_runtime.capacity.tables import show_boards

    found = measured_boards()
    if as_json:
        typer.echo(
            json.dumps([perf.model_dump(by_alias=True, exclude_none=True) for perf in found], indent=1)
        )
    elif markdown:
        typer.echo(boards_page(found), nl=False)
    else:
        show_boards(found, Console(highlight=False))


def _height(resolution: str) -> int:
    text = resolution.strip().lower()
    if text in _HEIGHTS:
        return _HEIGHTS[text]
    match = re.fullmatch(r"(?:\d{3,5}x)?(\d{3,4})p?", text)
    if match is None or not 120 <= int(match[1]) <= 4320:
        raise typer.BadParameter(f"{resolution!r} is no resolution such as 1080p, 4k or 1920x1080")
    return int(match[1])
