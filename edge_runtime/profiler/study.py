"""The whole study: the loop with a live table, then the layers and the floor where they are asked for."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from rich.console import Console
from rich.live import Live

from edge_runtime.config import Config
from edge_runtime.errors import RoomtoneError
from edge_runtime.profiler.floor import Floor, measure_floor
from edge_runtime.profiler.layers import Layer, profile_layers
from edge_runtime.profiler.measuring import Run, measure
from edge_runtime.profiler.report import Report, summarize
from edge_runtime.profiler.tables import live_table
from edge_runtime.profiling.spans import Spans

_log = logging.getLogger(__name__)

_LIVE_HZ = 1.0  # a picture costs a millisecond or two of Python


def study(
    config: Config, *, seconds: float | None, with_layers: bool, with_floor: bool, console: Console
) -> tuple[Run, Report]:
    """Measures and reports.

    Args:
        config: checked.
        seconds: of the loop; None: to the film's end.
        with_layers: of the network, measured after the loop; not after an interruption.
        with_floor: likewise.
        console: where the live table goes, if it is a terminal.

    Raises:
        RoomtoneError: as `measure` and `summarize`.
    """
    with ExitStack() as showing:

        def watch(spans: Spans) -> None:
            if console.is_terminal:
                showing.enter_context(
                    Live(
                        console=console,
                        get_renderable=lambda: live_table(spans),
                        refresh_per_second=_LIVE_HZ,
                        transient=True,
                    )
                )

        run = measure(config, seconds=seconds, watched=watch)
    if not run.stats.frames:
        raise RoomtoneError(
            "no frame was analysed, so there is nothing to report",
            hint="is the source at its end, away, or the privacy shutter closed? roomtone doctor looks into it",
        )
    sizes = [int(size) for _, size in run.gauges["batch"]]
    layers: list[Layer] = []
    floor: Floor | None = None
    if not run.interrupted:
        # What was measured is not lost because a camera opens but once, or /tmp is full.
        with _warning("the layers"):
            if with_layers:
                usual = sorted(sizes)[len(sizes) // 2] if sizes else 1
                faces = min(usual, run.config.inference.max_batch)
                layers = profile_layers(run.bundle, run.config.inference, faces)
        with _warning("the floor"):
            if with_floor:
                floor = measure_floor(run.config, run.bundle, sizes, most_frames=run.stats.frames)
    return run, summarize(run, layers=layers, floor=floor)


@contextmanager
def _warning(what: str) -> Iterator[None]:
    try:
        yield
    except RoomtoneError as exc:
        _log.warning("%s cannot be measured: %s (%s)", what, exc, exc.hint)
