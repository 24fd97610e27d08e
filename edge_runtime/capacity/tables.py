"""A board's costs and a plan on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from edge_runtime.capacity.model import Demand, decode_cost_ms, error_of, load, network_ms, scan_ms
from edge_runtime.capacity.perf import Perf
from edge_runtime.capacity.plan import MOST_BUSY, Plan, cameras_that_fit
from edge_runtime.figure_table import figure_table

_STYLES = {"fits": "bold green", "may fit": "bold yellow", "does not fit": "bold red"}
CLASS = Demand(faces=22)  # one 1080p camera with a class, at the rates that ship
_LIMITS = {"cores": "its cores", "loop": "one camera's loop, which is one thread", "memory": "its memory"}


def show_board(perf: Perf, console: Console) -> None:
    """Prints all costs."""
    board, bundle = perf.board, perf.bundle
    console.print(
        f"[bold]{perf.name}[/]: {escape(board.cpu or board.model)}, {board.cores} cores, {board.instruction_set}; "
        f"{bundle.name} {bundle.version} on {perf.engine}\n"
    )
    table = figure_table("a call, ms of processor time", "360p", "720p", "1080p", "4K")
    for name, cells in rows_by_height(perf):
        table.add_row(name, *cells)
    console.print(table)
    table = figure_table("a scan shrunk to", *(f"{row.width_px} px" for row in perf.scan if row.threads == 1))
    for threads in sorted({row.threads for row in perf.scan}):
        rows = [row for row in perf.scan if row.threads == threads]
        word = "thread" if threads == 1 else "threads"
        table.add_row(f"{threads} {word}, 24 faces, ms on the clock", *(f"{row.wall_ms:.1f}" for row in rows))
    console.print()
    console.print(table)
    table = figure_table("the network", "1 face", "8 faces", "8, on the clock, all cores")
    for name, cells in rows_by_engine(perf):
        table.add_row(name, *cells)
    console.print()
    console.print(table)
    sent = perf.publish.acknowledged_ms
    console.print(
        f"\na window: on disk in {perf.publish.outbox_ms:.1f} ms"
        + (f", acknowledged by the broker in {sent:.1f} ms" if sent is not None else "")
        + f"; a process with one camera: {perf.process_mb:.0f} MB"
    )
    for check in perf.checks:
        console.print(
            f"check, {check.source}: {check.cameras} × {check.faces:.0f} faces at {check.height_px}p: "
            f"{check.measured_cores:.2f} cores, foretold {check.predicted_cores:.2f}"
        )
    console.print(f"foretold loads are told with ± {error_of(perf):.0%}")


def show_plan(answer: Plan, console: Console) -> None:
    """Prints what fits, in an installer's words."""
    costs, demand, needed = answer.costs, answer.demand, answer.load
    many = "1 camera" if demand.cameras == 1 else f"{demand.cameras} cameras"
    console.print(
        f"{many} at {demand.height_px}p and {demand.fps:g} frames/s, {demand.faces:g} faces each, "
        f"{demand.scan_rate_hz:g} scans and {demand.classify_rate_hz:g} classifications a second"
        + ("" if costs.perf.bundle.stride_s is None else ", the stride of the bundle's sequences")
    )
    console.print(f"on {escape(costs.title)}: [{_STYLES[answer.verdict]}]{answer.verdict}[/]\n")
    table = figure_table("", "cores", "share")
    for name, cores in sorted(needed.parts.items(), key=lambda item: -item[1]):
        table.add_row(name, f"{cores:.2f}", f"{cores / costs.cores:.0%}")
    low, high = needed.cores * costs.low, needed.cores * costs.high
    table.add_row(
        "[bold]in all[/]", f"[bold]{needed.cores:.2f}[/]", f"[bold]{needed.cores / costs.cores:.0%}[/]"
    )
    console.print(table)
    console.print(
        f"\nbetween {low:.2f} and {high:.2f} of {costs.cores} cores; at most {MOST_BUSY:.0%} may be busy. "
        f"Memory: {answer.memory_mb:.0f} MB, with an agent for each camera"
    )
    if answer.verdict != "fits":
        console.print(
            f"what limits it: {_LIMITS[answer.limited_by]} (one camera's loop takes {needed.loop:.2f} of a core)"
        )
    console.print(f"[dim]{escape(costs.basis)}[/]")


def show_boards(boards: Sequence[Perf], console: Console) -> None:
    """Prints one line for each board."""
    table = figure_table("board", "cores", "engine", "a class at 1080p, cores", "cameras that fit")
    for perf in boards:
        table.add_row(
            f"{perf.name} ({escape(perf.board.cpu)})",
            str(perf.board.cores),
            perf.engine,
            f"{load(perf, CLASS).cores:.2f}",
            str(cameras_that_fit(perf, CLASS)),
        )
    console.print(table)


def rows_by_height(perf: Perf) -> list[tuple[str, list[str]]]:
    """Call → its cost at 360p, 720p, 1080p and 4K."""
    heights = (360, 720, 1080, 2160)
    rows = [("decode (MJPEG)", [f"{decode_cost_ms(perf, height):.1f}" for height in heights])]
    rows.append(
        ("scan, 24 faces", [f"{scan_ms(perf, Demand(faces=24, height_px=height)):.1f}" for height in heights])
    )
    for stage in dict.fromkeys(cost.stage for cost in perf.stages):
        of_stage = {cost.height_px: cost for cost in perf.stages if cost.stage == stage}
        cells = [
            f"{of_stage[height].base_ms:.2f} + {of_stage[height].face_ms:.3f}/face"
            if height in of_stage
            else "–"
            for height in heights
        ]
        rows.append((stage, cells))
    return rows


def rows_by_engine(perf: Perf) -> list[tuple[str, list[str]]]:
    """Variant → one face, eight faces, eight by the clock with all cores; ms."""
    rows = []
    for name in dict.fromkeys(f"{row.backend} {row.precision}" for row in perf.inference):
        most = max(row.threads for row in perf.inference)
        clock = [
            row.wall_ms
            for row in perf.inference
            if f"{row.backend} {row.precision}" == name and row.threads == most and row.batch == 8
        ]
        cells = [f"{network_ms(perf, name, faces, 32):.1f}" for faces in (1, 8)]
        rows.append((name, [*cells, f"{clock[0]:.1f}" if clock else "–"]))
    return rows
