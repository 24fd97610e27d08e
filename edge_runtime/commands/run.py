"""`roomtone run`: the agent, until it is told to stop; or the agents, where a board has several cameras."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from edge_runtime.agent import Agent, RunSummary
    from edge_runtime.config import Config

app = typer.Typer(add_completion=False)


@app.command()
def run(
    config: Annotated[
        list[Path] | None,
        typer.Option(help="TOML file, or folder of layers; may be repeated. A built-in trial when absent"),
    ] = None,
    camera: Annotated[
        list[Path] | None,
        typer.Option(
            help="TOML file of one camera, above --config; repeated, all of them share this board. Those in the "
            "folder cameras/ of --config when absent"
        ),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="camera index, rtsp/http url, film, folder of images, or simulated://…")
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="bundle directory, or `small`; the one in force when absent")
    ] = None,
    broker: Annotated[
        str | None, typer.Option(help="mqtt://host[:port], mqtts://host[:port], or none")
    ] = None,
    print_events: Annotated[
        bool, typer.Option("--print", help="each event as one JSON line on stdout")
    ] = False,
    until_end: Annotated[
        bool, typer.Option("--until-end", help="end with the film, last partial window sent")
    ] = False,
    realtime: Annotated[bool, typer.Option("--realtime", help="play a film at its own pace")] = False,
) -> None:
    r"""Runs the camera: frames in, room-level emotion events out.

    \b
    roomtone run --config /etc/roomtone
    roomtone run --config site.toml --camera room-12.toml --camera room-13.toml
    roomtone run --source lesson.mp4 --print --until-end
    roomtone run --source 0 --broker mqtt://broker.school:1883
    """
    from edge_runtime.commands.overrides import absolute_bundle, broker_section, override, without_broker
    from edge_runtime.config import trial_config
    from edge_runtime.config_file import load_config
    from edge_runtime.config_layers import camera_files
    from edge_runtime.credential_files import environment_beside

    layers = config or []
    cameras = camera or camera_files(layers)
    if not layers and not cameras:
        typer.echo(
            "roomtone: no --config, so this is a trial: purpose simulation, min_group 1, 10 s windows",
            err=True,
        )
    if source is not None and len(cameras) > 1:
        raise typer.BadParameter(
            f"{len(cameras)} cameras cannot all be {source}; camera.source belongs into each one's file",
            param_hint="--source",
        )
    os.environ.update(environment_beside([*layers, *cameras]))

    def settings(*files: Path) -> Config:
        """What the files and the command line say now."""
        read = load_config(*files) if files else trial_config()
        changes: dict[str, dict[str, Any]] = {
            "camera": {"source": source, "realtime": realtime or None},
            "inference": {"bundle": absolute_bundle(bundle)},
            "mqtt": broker_section(broker),
        }
        read = override(read, changes)
        return without_broker(read) if broker == "none" else read

    if len(cameras) > 1:
        reads = [lambda file=file: settings(*layers, file) for file in cameras]
        _run_cameras(reads, prints=print_events, until_end=until_end)
    else:
        files = [*layers, *cameras]
        _run_camera(
            lambda: settings(*files), is_from_file=bool(files), prints=print_events, until_end=until_end
        )


def _run_camera(settings: Callable[[], Config], *, is_from_file: bool, prints: bool, until_end: bool) -> None:
    from edge_runtime.agent import Agent

    told_to_stop = threading.Event()
    following: Config | None = settings()
    while following is not None:
        with Agent(
            following,
            stream=sys.stdout if prints else None,
            read_config=settings if is_from_file else None,
        ) as agent:
            _stop_agent_on_signals(agent, told_to_stop)
            try:
                summary = agent.run(until_end=until_end)
            except BrokenPipeError:
                _let_stdout_go()
                return
        following = None if told_to_stop.is_set() else agent.next_config
    _tell(summary)
    for stage, percentiles in _stages(summary):
        p50, p95, p99 = percentiles
        typer.echo(f"  {stage:<10} p50 {p50:8.2f}  p95 {p95:8.2f}  p99 {p99:8.2f} ms", err=True)


def _run_cameras(reads: Sequence[Callable[[], Config]], *, prints: bool, until_end: bool) -> None:
    from edge_runtime.cameras import Cameras

    _name_threads_in_log()
    with Cameras(reads, stream=sys.stdout if prints else None) as cameras:
        _on_signals(cameras.stop)
        try:
            summaries = cameras.run(until_end=until_end)
        except BrokenPipeError:
            _let_stdout_go()
            return
    for name, summary in summaries.items():
        _tell(summary, name)


def _name_threads_in_log() -> None:
    """A camera's threads have its name, and so have their lines."""
    lines = logging.Formatter("%(asctime)s %(levelname)-7s %(threadName)s, %(name)s: %(message)s")
    for handler in logging.getLogger().handlers:
        handler.setFormatter(lines)


def _stages(summary: RunSummary) -> list[tuple[str, list[float]]]:
    latencies = summary.stats.latencies_ms
    stages = sorted({key.rsplit("_", 2)[0] for key in latencies})
    return [(stage, [latencies[f"{stage}_{part}_ms"] for part in ("p50", "p95", "p99")]) for stage in stages]


def _tell(summary: RunSummary, name: str = "") -> None:
    stats = summary.stats
    whose = f"{name}: " if name else ""
    typer.echo(
        f"roomtone: {whose}{summary.windows} windows from {stats.frames} frames in {summary.wall_s:.1f} s "
        f"({stats.frames / max(summary.wall_s, 1e-3):.1f} frames/s), {stats.rss_mb or 0:.0f} MB resident",
        err=True,
    )


def _let_stdout_go() -> None:
    """Whoever read our lines has gone (`| head`): nothing more to say, and nothing to say it to."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for the interpreter's own last flush


def _stop_agent_on_signals(agent: Agent, told: threading.Event) -> None:
    def stop() -> None:
        told.set()
        agent.stop()

    _on_signals(stop)
    if told.is_set():  # between two agents, while a reload was under way
        agent.stop()


def _on_signals(stop: Callable[[], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop())
