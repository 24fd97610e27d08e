"""`roomtone watch`: all rooms of a broker, live in a terminal or one line per window."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import datetime

from rich.console import Console
from rich.live import Live

from edge_runtime.config import MqttSection
from edge_runtime.errors import BrokerError
from edge_runtime.publishing.board import BoardRow, RoomBoard, people, table
from edge_runtime.publishing.connection import Answer, Connection, Message
from edge_runtime.publishing.credentials import Credentials
from edge_runtime.publishing.endpoint import Endpoint, topic_refusal
from edge_runtime.publishing.fallback import ProtocolChoice
from edge_runtime.publishing.pacing import Backoff
from edge_runtime.publishing.payloads import EmotionEvent, encode

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
    watcher = _Watcher(Endpoint.from_section(mqtt, credentials), ProtocolChoice(mqtt.protocol))
    deadline_s = None if duration_s is None else time.monotonic() + duration_s
    with ExitStack() as stack, suppress(KeyboardInterrupt):
        stack.callback(watcher.close)
        watcher.connect()
        display = stack.enter_context(Live(console=console, auto_refresh=False)) if is_live else None
        while (deadline_s is None or time.monotonic() < deadline_s) and not should_stop():
            left_s = REFRESH_S if deadline_s is None else min(REFRESH_S, deadline_s - time.monotonic())
            for event in watcher.next_events(left_s):
                if display is None:
                    console.out(encode(event).decode() if json_lines else line(event), highlight=False)
            if display is not None:
                board = watcher.board
                display.update(table(board.rows(), foreign=board.foreign, note=watcher.note), refresh=True)
        if display is None and not json_lines and (watcher.board.foreign or watcher.note):
            console.out(f"{watcher.board.foreign} foreign messages. {watcher.note}".strip(), highlight=False)
    return watcher.board


def line(event: EmotionEvent) -> str:
    """One window in one line, times in the watcher's zone."""
    when = datetime.fromtimestamp(event.ts).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    start = f"{when}  {event.site}/{event.room} {event.device}  "
    who = people(event).plain
    if event.suppressed:
        return f"{start}private (fewer than {event.min_group})  {who}"
    shares = sorted(event.shares.items(), key=lambda item: (-item[1], item[0]))
    told = ", ".join(f"{label} {share:.0%}" for label, share in shares if share)
    return f"{start}{told}  valence {event.valence:+.2f}  arousal {event.arousal:+.2f}  {who}"


class _Watcher:
    """The board's connection: subscribed on every connection, made again when lost."""

    def __init__(self, endpoint: Endpoint, choice: ProtocolChoice) -> None:
        self.board = RoomBoard()
        self.note = ""
        self._endpoint, self._choice = endpoint, choice
        self._client_id = f"roomtone-watch-{secrets.token_hex(4)}"
        self._messages: deque[Message] = deque()
        self._wake = threading.Event()
        self._backoff = Backoff(1.0, 30.0)
        self._retry_at_s = 0.0
        self._connection: Connection | None = None
        self._filters: dict[int, str] = {}

    def connect(self) -> None:
        """Makes a connection, in the other protocol if need be.

        Raises:
            BrokerError: there is none.
        """
        while True:
            connection = Connection(
                self._endpoint,
                client_id=self._client_id,
                protocol=self._choice.protocol,
                wake=self._wake.set,
                on_message=self._on_message,
            )
            try:
                connection.open()
            except BrokerError:
                if self._choice.failed(connection.protocol_in_doubt):
                    continue
                raise
            break
        self._choice.connected()
        self._connection, self.note = connection, ""
        self._filters = {connection.subscribe(pattern): pattern for pattern in self.board.patterns}

    def next_events(self, timeout_s: float) -> list[EmotionEvent]:
        """Waits for something to come, takes all of it, and looks after the connection."""
        self._wake.wait(timeout_s)
        self._wake.clear()
        events = []
        while self._messages:
            message = self._messages.popleft()
            if (event := self.board.take(message.topic, message.payload)) is not None:
                events.append(event)
        connection = self._connection
        if connection is not None:
            for answer in connection.take_subscribe_answers():
                self._judge(answer)
            if not connection.is_open:
                self.note = str(connection.problem or "the connection is lost")
                self.close()
                self._retry_at_s = time.monotonic() + self._backoff.pause_s()
        elif time.monotonic() >= self._retry_at_s:
            try:
                self.connect()
            except BrokerError as problem:
                self.note = str(problem)
                self._retry_at_s = time.monotonic() + self._backoff.pause_s()
            else:
                self._backoff.connection_lasted(float("inf"))
        return events

    def close(self) -> None:
        """Ends the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _on_message(self, message: Message) -> None:
        self._messages.append(message)
        self._wake.set()

    def _judge(self, answer: Answer) -> None:
        if answer.is_refusal and answer.mid in self._filters:
            problem = topic_refusal(self._endpoint, "read", self._filters[answer.mid], answer.words)
            self.note = str(problem)
