"""The report and the live picture on a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table

from edge_runtime.figure_table import figure_table
from edge_runtime.profiler.comparing import Comparison
from edge_runtime.profiler.report import WAITING, Report
from edge_runtime.profiling.spans import Spans

_MOST_LAYERS: Final = 12
_LOOP: Final = "MainThread"


def live_table(spans: Spans) -> RenderableType:
    """Percentiles of the last few thousand spans of each stage."""
    rows = sorted(spans.percentiles().items(), key=lambda item: -item[1].p50_ms * item[1].count)
    table = figure_table("stage", "spans", "p50 ms", "p95 ms", "p99 ms")
    for stage, times in rows:
        table.add_row(
            _stage(stage),
            str(times.count),
            *(f"{ms:.2f}" for ms in (times.p50_ms, times.p95_ms, times.p99_ms)),
        )
    return table


def show(report: Report, console: Console) -> None:
    """Prints the whole report."""
    what = report.what
    console.print(
        f"[bold]{escape(what['source'])}[/], {escape(what['bundle'])} on {what['engine']} "
        f"({what['instruction_set']}, threads: {what['engine_threads']}); {report.device['cores']} cores, "
        f"{escape(report.device['cpu'])}"
    )
    if report.interrupted:
        console.print("[yellow]ended by hand: this is what was measured so far[/]")
    console.print(
        f"{report.frames} frames in {report.duration_s:.1f} s: [bold]{report.fps:.1f} frames/s[/], "
        f"{report.cpu_ms_per_frame:.1f} ms of processor time a frame, {report.faces_mean:.1f} faces a frame "
        f"(at most {report.faces_max})\n"
    )
    console.print(_stages(report))
    threads = ", ".join(
        f"{escape(name)} {share:.0%}" for name, share in report.threads.items() if share >= 0.005
    )
    memory, overhead = report.memory, report.overhead
    lost = ", ".join(f"{count} {reason}" for reason, count in report.drops.items() if count) or "nothing"
    lines = [
        f"processor time by thread: {threads.replace(_LOOP, 'loop')}",
        f"lost: {lost}; decoded frames waiting: {report.queues['decoded_ahead_mean']:.1f}",
        f"memory: {memory['rss_start_mb']:.0f} MB at first, {memory['rss_end_mb']:.0f} at the end, "
        f"{memory['rss_max_mb']:.0f} at most; {memory['page_faults_per_frame']:.0f} page faults and "
        f"{memory['python_blocks_per_frame']:.1f} lasting Python objects a frame",
        f"spans: {overhead['spans']:.0f} at {overhead['span_us']:.2f} µs, "
        f"{overhead['cpu_share']:.2%} of the processor time",
    ]
    if report.latency:
        lines.insert(
            1,
            "frame to result: "
            + ", ".join(f"{name[:-3]} {ms:.0f} ms" for name, ms in report.latency.items()),
        )
    if (floor := report.floor) is not None:
        lines.append(
            f"floor (decoder, {floor.scans} scans, {floor.batches} batches, bare): "
            f"{floor.wall_ms_per_frame:.1f} ms and {floor.cpu_ms_per_frame:.1f} ms of processor time a frame; "
            f"of the loop's {1000 / report.fps:.1f} and {report.cpu_ms_per_frame:.1f} ms that is "
            f"[bold]{floor.wall_ms_per_frame * report.fps / 1000:.2f}[/] and "
            f"[bold]{floor.cpu_ms_per_frame / report.cpu_ms_per_frame:.2f}[/]"
        )
    console.print(Group("", *lines))
    if report.layers:
        console.print()
        console.print(_layers(report))


def show_comparison(comparison: Comparison, console: Console) -> None:
    """Prints what changed."""
    table = figure_table("against the baseline", "then ms", "now ms", "ratio", "95 % interval", "")
    styles = {"slower": "bold red", "faster": "bold green", "same": "dim"}
    for change in comparison.changes:
        table.add_row(
            change.name,
            f"{change.before_ms:.2f}",
            f"{change.now_ms:.2f}",
            f"{change.ratio:.2f}",
            f"{change.low:.2f} to {change.high:.2f}",
            f"[{styles[change.word]}]{change.word}[/]",
        )
    console.print()
    console.print(table)
    for difference in comparison.differing:
        console.print(f"another {escape(difference)}")


def _stages(report: Report) -> Table:
    table = figure_table("stage", "thread", "spans", "p50 ms", "p95", "p99", "max", "a frame", "wall", "cpu")
    for row in report.stages:
        table.add_row(
            _stage(row.stage),
            row.thread.replace(_LOOP, "loop")[:10],
            str(row.count),
            *(f"{ms:.2f}" for ms in (row.p50_ms, row.p95_ms, row.p99_ms, row.max_ms)),
            f"{row.self_s * 1000 / report.frames:.2f}",
            f"{row.wall_share:.1%}",
            f"{row.cpu_share:.1%}",
        )
    table.columns[1].justify, table.columns[1].no_wrap = "left", True
    table.caption = "ms; “a frame”, wall and cpu are of a stage's own time, without its parts; dim ones wait"
    table.caption_justify = "left"
    return table


def _layers(report: Report) -> Table:
    table = figure_table("slowest layers of one call", "kind", "precision", "ms", "share")
    slowest = sorted(report.layers, key=lambda layer: -layer.ms)
    for layer in slowest[:_MOST_LAYERS]:
        table.add_row(
            escape(layer.name[-60:]),
            escape(layer.kind),
            layer.precision,
            f"{layer.ms:.3f}",
            f"{layer.share:.1%}",
        )
    if rest := slowest[_MOST_LAYERS:]:
        table.add_row(
            f"[dim]{len(rest)} more[/]",
            "",
            _precisions(layer.precision for layer in rest),
            f"{sum(layer.ms for layer in rest):.3f}",
            f"{sum(layer.share for layer in rest):.1%}",
        )
    return table


def _precisions(found: Iterable[str]) -> str:
    return " ".join(sorted(set(found)))


def _stage(name: str) -> str:
    return f"[dim]{name}[/]" if name in WAITING else name
