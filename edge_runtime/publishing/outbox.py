"""The disk queue between a window's closing and the broker's acknowledgement.

When `append` returns, the event survives `kill -9` and a power cut. The queue is bounded in size and in age;
what must go is the oldest, and it is counted in the same transaction, so the count survives as well. One
process owns the file.

    with Outbox(Path("outbox.sqlite3"), max_bytes=64_000_000, max_age_s=72 * 3600) as outbox:
        number = outbox.next_event_number()
        outbox.append(number.event_id("camera-1"), topic, payload, created_s=time.time())
        for row in outbox.pending(20):
            ...
            outbox.acknowledge([row.row_id])

Once it is open, nothing here raises into the pipeline. A full disk costs the oldest events; if even that
makes no room, new events wait in RAM, are offered to the network from there, and are written as soon as
there is room. A file that turns out to be corrupt is set aside as `<name>.corrupt-<n>` and a new one is
begun.

Age is measured on the outbox's own clock, because a wall clock steps: running time counts as the monotonic
clock has it, and between two runs the wall clock's difference is added, unless it is negative or one of the
two readings is from before 2024 (a device without a battery-backed clock starts in 1970). So a step neither
expires everything nor keeps anything for ever.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Self

from edge_runtime.errors import OutboxError
from edge_runtime.publishing.outbox_file import Ledger, OutboxFile, OutboxRow, is_corrupt, is_full, set_aside
from edge_runtime.publishing.payloads import EventNumber

__all__ = ["Outbox", "OutboxRow", "OutboxStatistics"]

log = logging.getLogger(__name__)

CLOCK_WAS_SET_S = 1_704_067_200.0  # 2024-01-01; no device that runs this code has an honest clock before it
MAX_IN_RAM = 256  # events kept in RAM while the disk takes none: four hours of one-minute windows
ROOM_MAKING_ATTEMPTS = 5  # the reserve, then batches of old events, given up for one write on a full disk
ROWS_AT_ONCE = 32  # in one transaction, so that the log stays short
LEDGER_EVERY_S = 3600.0  # the outbox's clock is noted at least so often
_NOTHING: Mapping[int, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class OutboxStatistics:
    """What `stats` publishes about the outbox.

    Attributes:
        rows: events that wait, on disk and in RAM.
        rows_in_ram: those of them that the disk did not take; they would not survive a power cut.
        size_bytes, max_bytes: what the rows count for, and the limit.
        oldest_s: age of the oldest; None when nothing waits.
        dropped: events lost, over all runs.
        recovered: corrupt files set aside, over all runs.
    """

    rows: int
    rows_in_ram: int
    size_bytes: int
    max_bytes: int
    oldest_s: float | None
    dropped: int
    recovered: int


class Outbox:
    """See the module. Thread-safe.

    Args:
        path: the SQLite file; made when absent, in a folder that exists.
        max_bytes: more than this in events (their texts and a fixed overhead): the oldest are dropped.
        max_age_s: older than this on the outbox's own clock: dropped.
        wall: unix time, s.
        monotonic: a clock that never steps, s.

    Attributes:
        problem: why the disk does not take events at present; None when it does.

    Raises:
        OutboxError: another process has the file, or it cannot be opened or made.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int,
        max_age_s: float,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path, self._max_bytes, self._max_age_s = path, max_bytes, max_age_s
        self._wall, self._monotonic = wall, monotonic
        self._lock = threading.RLock()
        self._in_ram: deque[OutboxRow] = deque()
        self._acknowledged: set[int] = set()  # not yet deleted on disk
        self._is_open = True
        self._ledger: Ledger | None = None
        self._rows = self._bytes = 0  # on disk
        self._last_seq = self._last_row_id = self._last_written = 0
        self._lost = 0  # not yet in the ledger
        self.problem: OutboxError | None = None
        try:
            self._file = OutboxFile(path)
            self._begin_run(self._file.ledger())
        except sqlite3.Error as exc:
            if not is_corrupt(exc):
                raise OutboxError(path, f"cannot be read: {exc}", hint="check the disk") from exc
            self._start_over(exc)

    def next_event_number(self) -> EventNumber:
        """A number for the next event; never given twice, not even after `kill -9`."""
        with self._lock:
            self._last_seq += 1
            return EventNumber(self._boot, self._last_seq)

    def append(self, event_id: str, topic: str, payload: bytes, created_s: float) -> bool:
        """Takes an event; on disk when this returns True.

        Args:
            event_id: by which receivers recognise it.
            topic: where it is to be published.
            payload: what is to be published.
            created_s: unix time of the window's end.

        Returns:
            False when the event waits in RAM because the disk takes nothing (see `problem`), when it alone is
            larger than the limit (it is dropped and counted), or after `close`.
        """
        with self._lock:
            self._last_row_id += 1
            row = OutboxRow(self._last_row_id, event_id, topic, payload, created_s, self._clock())
            fits = row.size <= self._max_bytes and self._is_open
            if fits:
                self._in_ram.append(row)
            else:
                self._lost += 1
                log.error("event %s is lost: %s", event_id, "too large" if self._is_open else "outbox closed")
            self._settle()
            return fits and not self._in_ram

    def pending(self, limit: int, after: int = 0) -> list[OutboxRow]:
        """The oldest events that are not acknowledged, oldest first.

        Args:
            limit: at most so many.
            after: only those behind this row id (what the caller has sent already).
        """
        with self._lock:
            if not self._is_open:
                return []
            self._settle()
            try:
                stored = self._file.read(after, limit + len(self._acknowledged))
            except sqlite3.Error as exc:
                self._disk_failed(exc)
                stored = []
            rows = [*stored, *(row for row in self._in_ram if row.row_id > after)]
            return [row for row in rows if row.row_id not in self._acknowledged][:limit]

    def acknowledge(self, row_ids: Iterable[int]) -> None:
        """Removes events that the broker has; ids that are gone already are passed over."""
        with self._lock:
            gone = set(row_ids)
            in_ram = {row.row_id for row in self._in_ram} & gone
            self._in_ram = deque(row for row in self._in_ram if row.row_id not in in_ram)
            self._acknowledged |= gone - in_ram
            self._settle()

    def statistics(self) -> OutboxStatistics:
        """Numbers for `stats`."""
        with self._lock:
            rows = self._rows - len(self._acknowledged) + len(self._in_ram)
            oldest = self.pending(1) if rows else []
            return OutboxStatistics(
                rows=rows,
                rows_in_ram=len(self._in_ram),
                size_bytes=self._bytes + sum(row.size for row in self._in_ram),
                max_bytes=self._max_bytes,
                oldest_s=max(0.0, self._clock() - oldest[0].clock_s) if oldest else None,
                dropped=(self._ledger.dropped if self._ledger else 0) + self._lost,
                recovered=self._ledger.recovered if self._ledger else 0,
            )

    def __len__(self) -> int:
        """Events that wait."""
        with self._lock:
            return self._rows - len(self._acknowledged) + len(self._in_ram)

    def close(self) -> None:
        """Writes what can be written and frees the file; may be called twice."""
        with self._lock:
            if not self._is_open:
                return
            self._settle(is_last=True)
            if self._in_ram:
                log.error("outbox %s: %d events in RAM are lost", self._path, len(self._in_ram))
            self._is_open = False
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _begin_run(self, last: Ledger | None) -> None:
        """Takes over the ledger of the run before, and counts this boot before any number is given out."""
        wall = self._wall()
        self._boot = int(wall)
        base = 0.0
        if last is not None:
            self._boot = max(self._boot, last.boot + 1)
            clock_was_set = min(wall, last.wall_s) >= CLOCK_WAS_SET_S
            base = last.clock_s + (max(0.0, wall - last.wall_s) if clock_was_set else 0.0)
            self._last_seq = max(self._last_seq, last.seq)
        self._clock_offset_s = base - self._monotonic()
        self._ledger = last
        self._rows, self._bytes, last_row_id = self._file.totals()
        self._last_row_id = max(self._last_row_id, last_row_id)
        try:
            self._write()
        except sqlite3.Error as exc:  # a device that starts with a full disk still measures
            if is_corrupt(exc):
                raise
            self._disk_failed(exc)

    def _clock(self) -> float:
        return self._monotonic() + self._clock_offset_s

    def _write(
        self, insert: tuple[OutboxRow, ...] = (), delete: Mapping[int, int] = _NOTHING, *, lost: int = 0
    ) -> None:
        """One transaction; `delete` maps row ids to their bytes, `lost` of them count as dropped."""
        ledger = Ledger(
            boot=self._boot,
            seq=self._last_seq,
            dropped=(self._ledger.dropped if self._ledger else 0) + self._lost + lost,
            recovered=self._ledger.recovered if self._ledger else 0,
            clock_s=self._clock(),
            wall_s=self._wall(),
        )
        self._file.write(ledger=ledger, insert=insert, delete=delete)
        self._ledger, self._lost = ledger, 0
        self._last_written = insert[-1].row_id if insert else self._last_written
        self._rows += len(insert) - len(delete)
        self._bytes += sum(row.size for row in insert) - sum(delete.values())

    def _settle(self, *, is_last: bool = False) -> None:
        """Brings the file to what it should be: deletes what has gone out or must go, writes what waits."""
        if not self._is_open:
            return
        for _ in range(ROOM_MAKING_ATTEMPTS):
            try:
                self._settle_once(is_last=is_last)
            except sqlite3.Error as exc:
                if not self._disk_failed(exc):
                    break
            else:
                return
        while len(self._in_ram) > MAX_IN_RAM:
            self._in_ram.popleft()
            self._lost += 1

    def _settle_once(self, *, is_last: bool) -> None:
        delete = self._file.sizes(self._acknowledged)
        victims = self._victims(delete)
        is_noted = self._ledger is not None and self._clock() - self._ledger.clock_s < LEDGER_EVERY_S
        if not (delete or victims or self._in_ram or self._lost or is_last) and is_noted:
            self._acknowledged.clear()
            return
        if not self._file.has_reserve:
            self._file.keep_reserve()
        self._write(delete=delete | victims, lost=len(victims), insert=self._next_rows())
        self._acknowledged.clear()
        self._forget_written()
        while self._in_ram:
            self._write(insert=self._next_rows())
            self._forget_written()
        if victims:
            log.warning("outbox %s: %d oldest events lost to the age or size limit", self._path, len(victims))
        if self.problem is not None:
            log.warning("outbox %s takes events again", self._path)
            self.problem = None

    def _next_rows(self) -> tuple[OutboxRow, ...]:
        return tuple(islice(self._in_ram, ROWS_AT_ONCE))

    def _forget_written(self) -> None:
        while self._in_ram and self._in_ram[0].row_id <= self._last_written:
            self._in_ram.popleft()

    def _victims(self, leaving: dict[int, int]) -> dict[int, int]:
        """The oldest rows that age or size sends away, beside those that leave anyway."""
        born_before = self._clock() - self._max_age_s
        staying = self._bytes - sum(leaving.values())
        surplus = staying + sum(row.size for row in self._in_ram) - self._max_bytes
        victims: dict[int, int] = {}
        for row_id, size, clock_s in self._file.oldest():
            if clock_s >= born_before and surplus <= 0:
                break
            if row_id not in leaving:
                victims[row_id] = size
                surplus -= size
        return victims

    def _disk_failed(self, exc: sqlite3.Error) -> bool:
        """Deals with a failed transaction; True when another attempt may succeed."""
        if is_corrupt(exc):
            try:
                self._file.close()
                self._start_over(exc)
            except OutboxError as worse:
                self._remember(worse)
                return False
            return True
        if is_full(exc) and self._make_room():
            return True
        self._remember(
            OutboxError(
                self._path,
                f"takes no events at present: {exc}; they wait in RAM",
                hint="free space on the disk that holds the outbox" if is_full(exc) else "check the disk",
            )
        )
        return False

    def _remember(self, problem: OutboxError) -> None:
        if self.problem is None or str(self.problem) != str(problem):
            log.error("%s (%s)", problem, problem.hint)
        self.problem = problem

    def _make_room(self) -> bool:
        """Gives up the reserve, then a sixteenth of the queue, the oldest; False when that fails too."""
        victims: dict[int, int] = {}
        try:
            if self._file.has_reserve:
                self._file.give_up_reserve()
                return True
            for row_id, size, _ in self._file.oldest():
                if len(victims) >= max(8, self._rows // 16):
                    break
                victims[row_id] = size
            if not victims:
                return False
            self._write(delete=victims, lost=len(victims.keys() - self._acknowledged))
            self._file.checkpoint()
        except sqlite3.Error:
            return False
        log.warning("outbox %s: disk full, %d oldest events are dropped", self._path, len(victims))
        return True

    def _start_over(self, reason: sqlite3.Error) -> None:
        """Sets a corrupt file aside and begins a new one; what was in the old one counts as dropped.

        Raises:
            OutboxError: the file cannot be set aside, or no new one can be made.
        """
        aside, salvaged, rows = set_aside(self._path)
        log.error("outbox %s is corrupt (%s); kept as %s, a new one is begun", self._path, reason, aside.name)
        last = self._ledger or salvaged or Ledger(boot=int(self._wall()))
        self._lost += max(rows, self._rows)
        try:
            self._file = OutboxFile(self._path)
            self._begin_run(replace(last, recovered=last.recovered + 1))
        except sqlite3.Error as exc:
            raise OutboxError(self._path, f"cannot be begun anew: {exc}", hint="check the disk") from exc
