"""`roomtone watch`: all rooms of a broker, live in a terminal or one line per window."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import datetime

from rich.console import Console
from rich.live import Live

from edge_runtime.config import MqttSection
from edge_runtime.publishing.board import BoardRow, RoomBoard, people, table
from edge_runtime.publishing.credentials import Credentials
from edge_runtime.publishing.endpoint import Endpoint
from edge_runtime.publishing.payloads import EmotionEvent, encode
from edge_runtime.publishing.subscription import Subscription

__all__ = ["BoardRow", "RoomBoard", "table", "watch"]

REFRESH_S = 0.5


def watch(
    mqtt: MqttSection,
    credentials: Credentials,
    *,
    duration_s: float | None = None,
    live: bool | None = None,
    json_lines: bool = False,
    console: Console | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> RoomBoard:
    """Shows what the rooms publish until the time is over or the user interrupts.

    Args:
        mqtt: the broker.
        credentials: user and password.
        duration_s: how long; None: until interrupted.
        live: the table, redrawn; else a line per window. None: the table on a terminal.
        json_lines: each window as its JSON, and nothing else.
        console: where to; standard output when None.
        should_stop: asked a few times a second; True ends it.

    Returns:
        The board as it was in the end.

    Raises:
        ConfigurationError: the section names no broker, or a certificate file cannot be used.
        BrokerError: there was no connection to begin with; one that is lost later is made again.
    """
    console = console or Console()
    is_live = not json_lines and (console.is_terminal if live is None else live)
    board, endpoint = RoomBoard(), Endpoint.from_section(mqtt, credentials)
    deadline_s = None if duration_s is None else time.monotonic() + duration_s
    with (
        Subscription(endpoint, mqtt.protocol, board.patterns, name="roomtone-watch", qos=0) as subscription,
        ExitStack() as stack,
        suppress(KeyboardInterrupt),
    ):
        subscription.connect()
        display = stack.enter_context(Live(console=console, auto_refresh=False)) if is_live else None
        while (deadline_s is None or time.monotonic() < deadline_s) and not should_stop():
            left_s = REFRESH_S if deadline_s is None else min(REFRESH_S, deadline_s - time.monotonic())
            for message in subscription.next_messages(left_s):
                event = board.take(message.topic, message.payload)
                if event is not None and display is None:
                    console.out(encode(event).decode() if json_lines else line(event), highlight=False)
            if display is not None:
                note = _note(subscription)
                display.update(table(board.rows(), foreign=board.foreign, note=note), refresh=True)
        note = _note(subscription)
        if display is None and not json_lines and (board.foreign or note):
            console.out(f"{board.foreign} foreign messages. {note}".strip(), highlight=False)
    return board


def _note(subscription: Subscription) -> str:
    return "" if subscription.problem is None else str(subscription.problem)


def line(event: EmotionEvent) -> str:
    """One window in one line, times in the watcher's zone."""
    when = datetime.fromtimestamp(event.ts).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    start = f"{when}  {event.site}/{event.room} {event.device}  "
    who = people(event).plain
    if event.suppressed:
        return f"{start}private (fewer than {event.min_group})  {who}"
    shares = sorted(event.shares.items(), key=lambda item: (-item[1], item[0]))
    told = ", ".join(f"{label} {share:.0%}" for label, share in shares if share)
    index = "" if event.grade is None else f"  {event.grade} {event.classroom_activity:.2f}"
    context = "" if event.context is None else f"  in {event.context}"
    return f"{start}{told}  valence {event.valence:+.2f}  arousal {event.arousal:+.2f}{index}{context}  {who}"
