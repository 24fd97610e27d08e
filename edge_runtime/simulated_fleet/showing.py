"""`roomtone simulate fleet` in a terminal."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from edge_runtime.bundle import Bundle
from edge_runtime.publishing.endpoint import Endpoint
from edge_runtime.simulated_fleet.connections import allow_files
from edge_runtime.simulated_fleet.device import Member
from edge_runtime.simulated_fleet.running import Fleet, FleetCounters, FleetPace

log = logging.getLogger(__name__)

REFRESH_S: Final = 0.5


def run_fleet(
    fleet: Sequence[Member],
    bundle: Bundle,
    endpoint: Endpoint,
    pace: FleetPace,
    *,
    seed: int = 7,
    duration_s: float | None = None,
    json_lines: bool = False,
    console: Console | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> FleetCounters:
    """Runs a fleet until the time is over or it is told to stop, and says how it goes.

    Args:
        fleet: its members.
        bundle: whose labels they tell.
        endpoint: the broker.
        pace: how often they send.
        seed: of all that is random.
        duration_s: how long; None: until told to stop.
        json_lines: the totals as JSON in the end, and nothing else.
        console: where to; standard output when None.
        should_stop: asked often.

    Returns:
        The totals before the goodbye.
    """
    console = console or Console()
    if not allow_files(len(fleet)):
        log.warning("%d connections are more than this process may open files: raise `ulimit -n`", len(fleet))
    with Fleet(fleet, bundle, endpoint, pace, seed=seed) as running, ExitStack() as stack:
        live: Live | None = None
        if console.is_terminal and not json_lines:
            live = stack.enter_context(Live(console=console, auto_refresh=False))
        shown_s = 0.0

        def show() -> None:
            nonlocal shown_s
            if live is not None and time.monotonic() - shown_s >= REFRESH_S:
                shown_s = time.monotonic()
                live.update(Text(sentence(running.counters, running.problem)), refresh=True)

        running.run(duration_s=duration_s, should_stop=should_stop, on_turn=show)
        running.settle()
        counters = running.counters
    if json_lines:
        console.out(json.dumps(asdict(counters)), highlight=False)
    elif live is None:
        console.out(sentence(counters, running.problem), highlight=False)
    return counters


def sentence(counters: FleetCounters, problem: str = "") -> str:
    """The totals in words."""
    told = (
        f"{counters.connected} of {counters.devices} devices connected: {counters.windows} windows, "
        f"{counters.episodes} episode events, {counters.stats} stats; {counters.unacknowledged} unacknowledged"
    )
    if counters.behind_s > 1:
        told += f"; {counters.behind_s:.0f} s behind"
    return f"{told}. {problem}" if problem and counters.connected < counters.devices else told
