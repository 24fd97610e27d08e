"""`roomtone profile`: where each millisecond of the loop goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from edge_runtime.commands.profile_board import boards, device, plan

app = typer.Typer(add_completion=False)
app.command()(device)
app.command()(plan)
app.command()(boards)


@app.callback(invoke_without_command=True)
def profile(
    context: typer.Context,
    config: Annotated[
        list[Path] | None,
        typer.Option(help="TOML file, or folder of layers; may be repeated. A built-in trial when absent"),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="camera index, rtsp/http url, film, folder of images, or simulated://…")
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="bundle directory, or `small`; the one in force when absent")
    ] = None,
    broker: Annotated[
        str | None, typer.Option(help="publish there, as this device; nothing is published when absent")
    ] = None,
    realtime: Annotated[bool, typer.Option("--realtime", help="play a film at its own pace")] = False,
    seconds: Annotated[
        float | None, typer.Option(min=0.5, max=86400, help="how long; to the film's end when absent")
    ] = None,
    layers: Annotated[bool, typer.Option("--layers", help="time of each layer of the network, too")] = False,
    floor: Annotated[
        bool,
        typer.Option("--floor", help="decoder, detector and network bare, too: the loop's share of that"),
    ] = False,
    compare: Annotated[
        Path | None, typer.Option(help="an earlier --json report; slower than it ends with exit code 24")
    ] = None,
    tolerance: Annotated[float, typer.Option(min=0, max=1, help="a change smaller than this is none")] = 0.05,
    trace: Annotated[
        Path | None, typer.Option(help="Chrome Trace Event JSON to write; ui.perfetto.dev opens it")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="report to write, one file")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable")] = False,
) -> None:
    r"""Runs the real loop and says where each millisecond goes: stages, threads, faces, drops, memory.

    Nothing is published unless a broker is named here. Ctrl-C ends early and reports what was measured so far. Frames
    are not kept; the report tells how many faces there were, so it belongs to whoever may know that.

    \b
    roomtone profile --source lesson.mp4 --floor
    roomtone profile --config /etc/roomtone --seconds 60 --trace loop.json --html loop.html
    roomtone profile --source lesson.mp4 --json > baseline.json
    roomtone profile --source lesson.mp4 --compare baseline.json
    """
    if context.invoked_subcommand is not None:
        return
    from rich.console import Console

    from edge_runtime.commands.by_hand import environment_of_service
    from edge_runtime.commands.overrides import absolute_bundle, broker_section, override, without_broker
    from edge_runtime.config import trial_config
    from edge_runtime.config_file import load_config
    from edge_runtime.errors import SlowerError
    from edge_runtime.profiler.comparing import compare as compare_reports
    from edge_runtime.profiler.comparing import read_baseline
    from edge_runtime.profiler.page import page
    from edge_runtime.profiler.study import study
    from edge_runtime.profiler.tables import show, show_comparison
    from edge_runtime.profiler.trace import trace_document

    settings = load_config(*config) if config else trial_config()
    changes: dict[str, dict[str, Any]] = {
        "camera": {"source": source, "realtime": realtime or None},
        "inference": {"bundle": absolute_bundle(bundle)},
        "mqtt": broker_section(broker),
    }
    settings = override(settings, changes)
    if broker in (None, "none"):
        settings = without_broker(settings)
    environment_of_service(config or [])
    baseline = None if compare is None else read_baseline(compare)  # before the time is spent
    run, report = study(
        settings,
        seconds=seconds,
        with_layers=layers or trace is not None or html is not None,
        with_floor=floor,
        console=Console(stderr=True),
    )
    document = report.to_json()
    comparison = None
    if compare is not None and baseline is not None:
        comparison = compare_reports(baseline, document, baseline=compare, tolerance=tolerance)
    if as_json:
        typer.echo(json.dumps(document, ensure_ascii=False, indent=1))
    else:
        show(report, Console(highlight=False))
    if comparison is not None:
        show_comparison(comparison, Console(stderr=as_json))
    # Last of all, so that a full disk costs the files only.
    if trace is not None:
        write_report(trace, json.dumps(trace_document(run, report.layers)))
    if html is not None:
        write_report(html, page(run, report))
    if comparison is not None and comparison.is_slower:
        whole = comparison.changes[0]
        raise SlowerError(whole.ratio, whole.low, whole.high)


def write_report(path: Path, text: str) -> None:
    """Writes a file that was asked for beside the printed report."""
    from edge_runtime.errors import RoomtoneError
    from edge_runtime.file_writing import write_whole

    try:
        write_whole(path, text.encode(), durable=False)
    except OSError as exc:
        raise RoomtoneError(
            f"{path} cannot be written: {exc.strerror}",
            hint="the report itself is above; is the disk full, or the folder missing?",
        ) from exc
    typer.echo(f"roomtone: wrote {path} ({len(text.encode()) / 1e6:.1f} MB)", err=True)
