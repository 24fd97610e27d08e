"""MQTT → store, and nothing lost in between.

    with open_store("sqlite:///history.sqlite3") as store:
        with Collector(mqtt, load_credentials(), store) as collector:
            ...
            collector.counters.windows

A message is acknowledged when the transaction that holds it is committed. Until then it is the broker's: the
collector's session outlives its connection, so that what was not acknowledged, or was published while the
collector was away, comes on the next one. A database that is away or full therefore needs little memory here:
nothing is acknowledged, what comes all the same is let go, and when the database is well again a new connection
brings it once more.

One thread of its own does everything. Several collectors of one group share the events (`$share`); one alone
subscribes plainly, because Mosquitto 2.0 forgets shared subscriptions when it is restarted. So a group comes back
fast, and looks at the retained `state` of each device: that is the window which nobody may have taken meanwhile.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from edge_runtime.config import MqttSection
from edge_runtime.errors import BrokerError, HistoryError
from edge_runtime.history.intake import Intake
from edge_runtime.history.records import EventRecord, Record
from edge_runtime.history.store import HistoryStore, Retention, WriteReport
from edge_runtime.publishing.connection import Message, Session
from edge_runtime.publishing.credentials import Credentials
from edge_runtime.publishing.endpoint import Endpoint
from edge_runtime.publishing.pacing import Backoff
from edge_runtime.publishing.subscription import Subscription

log = logging.getLogger(__name__)

# A batch is written when so many wait, or the oldest has waited so long. Mosquitto sends 20 before it wants an
# acknowledgement; with less than half of that, sending and writing go on at the same time.
BATCH: Final = 8
LINGER_S: Final = 0.25
MOST_AT_ONCE: Final = 1000
# What waits here for a database that is away. Events beyond that are left to the broker (Mosquitto 2.0.11 sends far
# more than its client's receive maximum); stats, which it would not send again, are given up and counted.
MOST_EVENTS: Final = 2000
MOST_UNNUMBERED: Final = 2000
RECONNECT_MAX_S: Final = 1.0  # to be there before the devices are
RETRY_MIN_S, RETRY_MAX_S = 0.5, 30.0
_REPORTED: Final = ("windows", "episodes", "stats", "infos", "changes", "duplicates")
ROLL_UP_EVERY_S: Final = 20.0
FORGET_EVERY_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class CollectorCounters:
    """Totals since the collector was made.

    Attributes:
        messages: that came.
        windows, episodes, stats, infos, changes: rows that were new.
        duplicates: events that the store had already.
        conflicts: events whose id belonged to another event.
        refused: records that the database would not take, and that were passed over.
        given_up: stats and words that waited too long for a database.
        late, early: events whose clock did not agree.
        remarks: kind → how often; see `intake.REMARKS`.
        waiting: records that are not committed yet.
        batches: transactions.
        connections: to the broker.
        sessions_lost: connections on which the broker had forgotten the session.
    """

    messages: int = 0
    windows: int = 0
    episodes: int = 0
    stats: int = 0
    infos: int = 0
    changes: int = 0
    duplicates: int = 0
    conflicts: int = 0
    refused: int = 0
    given_up: int = 0
    late: int = 0
    early: int = 0
    remarks: Mapping[str, int] = field(default_factory=dict)
    waiting: int = 0
    batches: int = 0
    connections: int = 0
    sessions_lost: int = 0


class Collector:
    """See the module; a context manager that starts and closes it.

    Args:
        mqtt: the broker.
        credentials: user and password.
        store: opened and closed by the caller.
        group: collectors of one group share the events; None: this one takes all.
        name: of this collector; the broker keeps its session under it. The host's when None.
        retention: how long things are kept.
        wall: unix time, s.

    Raises:
        ConfigurationError: the section names no broker, or a certificate file cannot be used.
    """

    def __init__(
        self,
        mqtt: MqttSection,
        credentials: Credentials,
        store: HistoryStore,
        *,
        group: str | None = None,
        name: str | None = None,
        retention: Retention | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._wall, self._retention = store, wall, retention or Retention()
        self._intake = Intake(wall=wall)
        self._subscription = Subscription(
            Endpoint.from_section(mqtt, credentials),
            mqtt.protocol,
            self._intake.patterns(group),
            name="-".join(filter(None, ("roomtone-collect", group, name or socket.gethostname()))),
            session=Session(),
            reconnect_max_s=RECONNECT_MAX_S,
            glances=self._intake.glances(group),
        )
        self._waiting: list[tuple[Message, Record | None]] = []
        self._oldest_s = 0.0
        self._left_to_broker = False
        self._dropped = 0
        self._retry = Backoff(RETRY_MIN_S, RETRY_MAX_S)
        self._not_before_s = 0.0
        self._roll_up_at_s = self._forget_at_s = 0.0
        self._totals: Counter[str] = Counter()
        self._connections = 0
        self._store_problem: HistoryError | None = None
        self._broker_problem: BrokerError | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="roomtone-collector", daemon=True)

    def start(self) -> None:
        """Begins to collect, in the background."""
        self._thread.start()

    def close(self) -> None:
        """Writes what has come, acknowledges it, and ends; the broker keeps the session. May be called twice."""
        self._closing.set()
        self._subscription.wake()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def problems(self) -> list[BrokerError | HistoryError]:
        """What is wrong at present with the broker and with the store; empty while all is well."""
        return [problem for problem in (self._broker_problem, self._store_problem) if problem is not None]

    @property
    def is_connected(self) -> bool:
        """Whether the broker is there, as far as is known."""
        return self._subscription.is_connected

    @property
    def counters(self) -> CollectorCounters:
        """Totals so far."""
        return CollectorCounters(
            **dict(self._totals),
            late=self._intake.clocks["late"],
            early=self._intake.clocks["early"],
            remarks={str(kind): count for kind, count in self._intake.remarks.items()},
            waiting=len(self._waiting),
            connections=self._subscription.connections,
        )

    def _run(self) -> None:
        with self._subscription:
            while not self._closing.is_set():
                try:
                    self._turn()
                except Exception:  # a thread that dies in silence would be worse than one that stumbles
                    log.exception("collecting stumbled and goes on")
                    self._closing.wait(RETRY_MAX_S)
            self._write()

    def _turn(self) -> None:
        self._take(self._subscription.next_messages(self._pause_s()))
        self._look_at_broker()
        now_s = time.monotonic()
        if now_s < self._not_before_s:
            return
        if self._waiting and (len(self._waiting) >= BATCH or now_s - self._oldest_s >= LINGER_S):
            self._write()
        if not self._waiting and (self._left_to_broker or self._subscription.dropped > self._dropped):
            self._left_to_broker, self._dropped = False, self._subscription.dropped
            self._subscription.reconnect()
        self._keep_up(now_s)

    def _pause_s(self) -> float:
        """How long the next look at the broker may wait for a message."""
        if not self._waiting:
            return LINGER_S
        due_s = max(self._oldest_s + LINGER_S, self._not_before_s)
        return max(0.0, min(LINGER_S, due_s - time.monotonic()))

    def _take(self, messages: Sequence[Message]) -> None:
        if messages and not self._waiting:
            self._oldest_s = time.monotonic()
        self._totals["messages"] += len(messages)
        self._waiting.extend((message, self._intake.take(message)) for message in messages)
        if self._store_problem is not None:
            self._stay_small()

    def _stay_small(self) -> None:
        """While there is no database: no more waits than the limits above."""
        events = [entry for entry in self._waiting if isinstance(entry[1], EventRecord)]
        others = [entry for entry in self._waiting if not isinstance(entry[1], EventRecord)]
        if len(events) > MOST_EVENTS:
            del events[MOST_EVENTS:]
            self._left_to_broker = True
        if len(others) > MOST_UNNUMBERED:
            for message, _ in others:
                message.acknowledge()
            self._totals["given_up"] += len(others)
            others = []
        self._waiting = others + events

    def _look_at_broker(self) -> None:
        if self._subscription.connections != self._connections:
            if self._subscription.is_resumed:
                # What was not acknowledged comes again by the new connection.
                self._waiting = [entry for entry in self._waiting if entry[0].qos == 0]
            elif self._connections:
                self._totals["sessions_lost"] += 1
                log.warning(
                    "the broker forgot this collector's session: what was published while it was away is missing"
                    " (mosquitto keeps sessions over a restart with `persistence true`)"
                )
            self._connections = self._subscription.connections
        before, self._broker_problem = self._broker_problem, self._subscription.problem
        _tell_change(before, self._broker_problem, "the broker is there again")

    def _write(self) -> None:
        """Writes and acknowledges what waits, as far as the store can."""
        while self._waiting:
            batch = self._waiting[:MOST_AT_ONCE]
            records = [record for _, record in batch if record is not None]
            try:
                report = self._write_records(records)
            except HistoryError as problem:
                self._note(problem)
                return
            for message, _ in batch:
                message.acknowledge()
            del self._waiting[: len(batch)]
            self._count(report)
            self._note(None)
        self._oldest_s = time.monotonic()

    def _write_records(self, records: Sequence[Record]) -> WriteReport:
        if not records:
            return WriteReport()
        try:
            return self._store.write(records)
        except HistoryError as problem:
            if not problem.is_about_data:
                raise
        return self._write_singly(records)

    def _write_singly(self, records: Sequence[Record]) -> WriteReport:
        """Finds what of a batch the database refuses for what it is, and passes it over.

        Raises:
            HistoryError: the database went away meanwhile.
        """
        total: Counter[str] = Counter()
        conflicts: list[str] = []
        for record in records:
            try:
                report = self._store.write([record])
            except HistoryError as problem:
                if not problem.is_about_data:
                    raise
                self._totals["refused"] += 1
                log.warning("%s; passed over: %s", problem, str(record)[:300])
                continue
            for name in _REPORTED:
                total[name] += getattr(report, name)
            conflicts.extend(report.conflicts)
        return WriteReport(**total, conflicts=tuple(conflicts))

    def _count(self, report: WriteReport) -> None:
        for name in _REPORTED:
            self._totals[name] += getattr(report, name)
        self._totals["batches"] += 1
        self._totals["conflicts"] += len(report.conflicts)
        for event_id in report.conflicts:
            self._intake.tell_conflict(event_id)

    def _keep_up(self, now_s: float) -> None:
        """Hourly means and retention, a little at a time."""
        try:
            if now_s >= self._roll_up_at_s and not self._store.roll_up(self._wall()):
                self._roll_up_at_s = now_s + ROLL_UP_EVERY_S
            if now_s >= self._forget_at_s:
                self._store.forget(self._retention, self._wall())
                self._forget_at_s = now_s + FORGET_EVERY_S
        except HistoryError as problem:
            self._note(problem)
        else:
            if not self._waiting:
                self._note(None)

    def _note(self, problem: HistoryError | None) -> None:
        before, self._store_problem = self._store_problem, problem
        if problem is None:
            self._retry.connection_lasted(float("inf"))
        else:
            self._not_before_s = time.monotonic() + self._retry.pause_s()
        _tell_change(before, problem, "the store takes events again")


def _tell_change(
    before: BrokerError | HistoryError | None, now: BrokerError | HistoryError | None, well: str
) -> None:
    """Says once what went wrong, and once that it is well again."""
    if now is not None and (before is None or str(before) != str(now)):
        log.warning("%s (%s)", now, now.hint)
    elif now is None and before is not None:
        log.info("%s", well)
