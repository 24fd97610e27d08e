"""`roomtone demo`: everything at once, on one machine: broker, runtime, table."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(add_completion=False)


@app.command()
def demo(
    source: Annotated[
        str, typer.Option(help="camera index, rtsp/http url, film, folder, or simulated://…")
    ] = "simulated://students=24,seed=7,teacher=true,lesson_s=150",
    seconds: Annotated[float | None, typer.Option(min=1, help="end after so long; else with Ctrl-C")] = None,
    window: Annotated[float, typer.Option(min=1, max=60, help="length of a window, s")] = 5.0,
) -> None:
    r"""Shows a room's tone as it is published: embedded broker, real runtime, live table.

    Nothing leaves this machine.

    \b
    roomtone demo
    roomtone demo --source 0
    roomtone demo --source lesson.mp4 --seconds 30
    """
    from edge_runtime.demo import run_demo

    run_demo(source, seconds=seconds, window_s=window)
