"""`roomtone collect`: a collector in the foreground, with a line that says how it goes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict
from typing import Any, Final

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edge_runtime.config import MqttSection
from edge_runtime.history.collector import Collector, CollectorCounters
from edge_runtime.history.store import HistoryStore, Retention
from edge_runtime.publishing.credentials import Credentials

REFRESH_S: Final = 0.5
REPORT_EVERY_S: Final = 60.0  # a line, where there is no terminal

_REMARKS: Final = {
    "foreign": "on topics that are not roomtone's",
    "unreadable": "that break their schema",
    "unknown_schema": "of an unknown schema",
    "wrong_sender": "for another device than their topic's",
    "ghost": "retained, though they are events",
    "clock_off": "with a clock that is off",
    "moved": "devices that changed rooms",
    "namesake": "pairs of devices with one name",
    "conflict": "under the id of another event",
}


def collect(
    mqtt: MqttSection,
    credentials: Credentials,
    store: HistoryStore,
    *,
    group: str | None = None,
    name: str | None = None,
    retention: Retention | None = None,
    duration_s: float | None = None,
    json_lines: bool = False,
    console: Console | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> CollectorCounters:
    """Collects until the time is over or the user interrupts.

    Args:
        mqtt: the broker.
        credentials: user and password.
        store: open.
        group: of collectors that share the work; None: this one takes all.
        name: of this collector; None: the host's.
        retention: how long things are kept.
        duration_s: how long; None: until interrupted.
        json_lines: the counters as one JSON line each minute and in the end.
        console: where to; standard output when None.
        should_stop: asked a few times a second; True ends it.

    Returns:
        The counters in the end.
    """
    console = console or Console()
    began_s = time.monotonic()
    next_report_s = began_s + REPORT_EVERY_S
    end_s = float("inf") if duration_s is None else began_s + duration_s
    with ExitStack() as stack, suppress(KeyboardInterrupt):
        collector = Collector(mqtt, credentials, store, group=group, name=name, retention=retention)
        stack.enter_context(collector)
        live: Live | None = None
        if console.is_terminal and not json_lines:
            live = stack.enter_context(Live(console=console, auto_refresh=False))
        while (now_s := time.monotonic()) < end_s and not should_stop():
            if live is not None:
                live.update(_table(collector, store.url, now_s - began_s), refresh=True)
            elif now_s >= next_report_s:
                next_report_s += REPORT_EVERY_S
                _report(console, collector, json_lines)
            time.sleep(min(REFRESH_S, max(0.0, end_s - now_s)))
    if not console.is_terminal or json_lines:
        _report(console, collector, json_lines)
    return collector.counters


def _report(console: Console, collector: Collector, as_json: bool) -> None:
    counters = collector.counters
    if as_json:
        document: dict[str, Any] = asdict(counters)
        document |= {
            "ts": round(time.time(), 3),
            "problems": [str(problem) for problem in collector.problems],
        }
        console.out(json.dumps(document), highlight=False)
    else:
        console.out(sentence(counters), highlight=False)


def sentence(counters: CollectorCounters) -> str:
    """The counters in words; what is 0 and would be bad is left out."""
    parts = [
        f"{counters.windows} windows, {counters.episodes} episode events, {counters.stats} stats, "
        f"{counters.changes} changes"
    ]
    parts += [
        f"{count} {words}"
        for count, words in (
            (counters.duplicates, "came twice"),
            (counters.late, "late"),
            (counters.early, "from the future"),
            (counters.refused, "refused by the database"),
            (counters.given_up, "stats given up while there was no database"),
            (counters.waiting, "waiting"),
        )
        if count
    ]
    parts += [f"{count} {_REMARKS[kind]}" for kind, count in sorted(counters.remarks.items()) if count]
    return "; ".join(parts)


def _table(collector: Collector, url: str, elapsed_s: float) -> Table:
    counters = collector.counters
    out = Table.grid(padding=(0, 2))
    rate = counters.messages / max(elapsed_s, 1.0)
    problems = collector.problems
    state = Text("● collecting", style="#009e73") if collector.is_connected and not problems else None
    out.add_row(state or Text("○ waiting", style="#d55e00"), Text(f"{url}   {rate:.1f} messages/s"))
    out.add_row("", Text(sentence(counters)))
    for problem in problems:
        out.add_row(Text("!", style="bold #d55e00"), Text(f"{problem} ({problem.hint})"))
    return out
