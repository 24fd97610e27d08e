"""`roomtone run`: the agent, until it is told to stop."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from edge_runtime.agent import Agent
    from edge_runtime.config import Config

app = typer.Typer(add_completion=False)


@app.command()
def run(
    config: Annotated[
        list[Path] | None,
        typer.Option(help="TOML file, or folder of layers; may be repeated. A built-in trial when absent"),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="camera index, rtsp/http url, film, folder of images, or simulated://…")
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="bundle directory; the one in force when absent")
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
    roomtone run --source lesson.mp4 --print --until-end
    roomtone run --source 0 --broker mqtt://broker.school:1883
    """
    from edge_runtime.agent import Agent
    from edge_runtime.commands.overrides import absolute, broker_section, override, without_broker
    from edge_runtime.config import trial_config
    from edge_runtime.config_file import load_config
    from edge_runtime.credential_files import environment_beside

    if not config:
        typer.echo(
            "roomtone: no --config, so this is a trial: purpose simulation, min_group 1, 10 s windows",
            err=True,
        )
    os.environ.update(environment_beside(config or []))

    def settings() -> Config:
        """What the file and the command line say now."""
        read = load_config(*config) if config else trial_config()
        changes: dict[str, dict[str, Any]] = {
            "camera": {"source": source, "realtime": realtime or None},
            "inference": {"bundle": absolute(bundle)},
            "mqtt": broker_section(broker),
        }
        read = override(read, changes)
        return without_broker(read) if broker == "none" else read

    told_to_stop = threading.Event()
    following: Config | None = settings()
    while following is not None:
        with Agent(
            following,
            stream=sys.stdout if print_events else None,
            read_config=settings if config else None,
        ) as agent:
            _stop_on_signals(agent, told_to_stop)
            try:
                summary = agent.run(until_end=until_end)
            except BrokenPipeError:
                # Whoever read our lines has gone (`| head`): nothing more to say, and nothing to say it to.
                sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for the interpreter's own last flush
                return
        following = None if told_to_stop.is_set() else agent.next_config
    stats = summary.stats
    typer.echo(
        f"roomtone: {summary.windows} windows from {stats.frames} frames in {summary.wall_s:.1f} s "
        f"({stats.frames / max(summary.wall_s, 1e-3):.1f} frames/s), {stats.rss_mb or 0:.0f} MB resident",
        err=True,
    )
    for stage in sorted({key.rsplit("_", 2)[0] for key in stats.latencies_ms}):
        p50, p95, p99 = (
            stats.latencies_ms[f"{stage}_{percentile}_ms"] for percentile in ("p50", "p95", "p99")
        )
        typer.echo(f"  {stage:<10} p50 {p50:8.2f}  p95 {p95:8.2f}  p99 {p99:8.2f} ms", err=True)


def _stop_on_signals(agent: Agent, told: threading.Event) -> None:
    def stop(*_: object) -> None:
        told.set()
        agent.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    if told.is_set():  # between two agents, while a reload was under way
        agent.stop()
