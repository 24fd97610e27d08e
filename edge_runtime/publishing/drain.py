"""Which events of the outbox go out next, and what each answer of the broker does to them.

An event leaves the outbox when its PUBACK comes, and only then. A refused one (MQTT 5 reason code from 128,
most often 135 "not authorized") stays: a refusal is an operator's mistake in an access list, mended in an
hour, and the outbox has days. After a refusal the drain pauses, then tries with a single event; the age and
size limits of the outbox bound what can pile up, and what they drop is counted. MQTT 3.1.1 has no refusals:
a broker that discards an event still acknowledges it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from edge_runtime.publishing.connection import Answer
from edge_runtime.publishing.outbox import Outbox, OutboxRow
from edge_runtime.publishing.pacing import TokenBucket


class Drain:
    """The events between the outbox and the broker; used by one thread.

    Args:
        outbox: where events wait.
        rate_hz: events per second while catching up.
        refused_retry_s: pause after a refusal.
        monotonic: a clock that never steps, s.

    Attributes:
        published: events that the broker acknowledged.
        nobody_listening: those of them that had no subscriber.
        refused: refusals, one for each attempt.
        resent: events sent again on a new connection because the old one broke before their PUBACK.
    """

    def __init__(
        self,
        outbox: Outbox,
        *,
        rate_hz: float,
        refused_retry_s: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._outbox, self._refused_retry_s, self._monotonic = outbox, refused_retry_s, monotonic
        self._bucket = TokenBucket(rate_hz, monotonic)
        self._in_flight: dict[int, OutboxRow] = {}
        self._sent_up_to = 0
        self._paused_until_s = 0.0
        self._must_rewind = False  # an event behind `_sent_up_to` was refused
        self._is_probing = False  # one at a time, until one is accepted
        self.published = self.nobody_listening = self.refused = self.resent = 0

    def begin(self) -> None:
        """A new connection: whatever has no PUBACK goes out again, and after a refusal at once."""
        self.resent += len(self._in_flight)
        self._in_flight.clear()
        self._sent_up_to = 0
        self._paused_until_s = 0.0
        self._must_rewind = False

    def due(self, room: int) -> list[OutboxRow]:
        """The events to send now, oldest first, at most `room`."""
        if self._must_rewind:
            if self._in_flight or self._monotonic() < self._paused_until_s:
                return []
            self._sent_up_to, self._must_rewind, self._is_probing = 0, False, True
        if self._is_probing:
            room = min(room, 1 - len(self._in_flight))
        room = min(room, self._bucket.available)
        if room < 1 or len(self._outbox) <= len(self._in_flight):
            return []
        return self._outbox.pending(room, after=self._sent_up_to)

    def sent(self, mid: int, row: OutboxRow) -> None:
        """Notes an event of `due` as on its way."""
        self._in_flight[mid] = row
        self._sent_up_to = row.row_id
        self._bucket.take(1)

    def answered(self, answers: list[Answer]) -> OutboxRow | None:
        """Takes the broker's answers to events on their way; acknowledged ones leave the outbox together.

        Returns:
            An event that was refused, if any was.
        """
        done, refused = [], None
        for answer in answers:
            row = self._in_flight.pop(answer.mid)
            if answer.is_refusal:
                refused = row
                self.refused += 1
                self._must_rewind = True
                self._paused_until_s = self._monotonic() + self._refused_retry_s
            else:
                done.append(row.row_id)
                self._is_probing = False
                self.published += 1
                self.nobody_listening += answer.nobody_listens
        if done:
            self._outbox.acknowledge(done)
        return refused

    def is_waiting_for(self, mid: int) -> bool:
        """Whether this publication is an event on its way."""
        return mid in self._in_flight

    def __len__(self) -> int:
        """Events on their way."""
        return len(self._in_flight)

    @property
    def wait_s(self) -> float:
        """Time until `due` may have more, s; a minute when that depends on something else than time."""
        is_held = self._in_flight and (self._must_rewind or self._is_probing)
        if is_held or len(self._outbox) <= len(self._in_flight):
            return 60.0
        pause = self._paused_until_s - self._monotonic() if self._must_rewind else 0.0
        return max(0.005, pause, self._bucket.wait_s)
