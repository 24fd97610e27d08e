"""The retained face of the device: the latest value of each retained topic, sent on every new connection."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetainedValue:
    """One value to publish; `expiry_s` is what is left of its life, None when it does not age."""

    topic: str
    payload: bytes
    expiry_s: int | None


@dataclass(slots=True)
class _Slot:
    payload: bytes
    expires_s: float | None
    is_sent: bool = False


class RetainedValues:
    """Thread-safe: the pipeline puts values, the publisher's thread sends them.

    Args:
        monotonic: a clock that never steps, s.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._slots: dict[str, _Slot] = {}

    def put(self, topic: str, payload: bytes, lifetime_s: float | None = None) -> None:
        """Sets a topic's value; one that is older than `lifetime_s` is not sent any more."""
        expires_s = None if lifetime_s is None else self._monotonic() + lifetime_s
        with self._lock:
            self._slots[topic] = _Slot(payload, expires_s)

    def replace_all(self, old: bytes, new: bytes) -> None:
        """Changes every topic that has the value `old`, as at the goodbye from `online` to `offline`."""
        with self._lock:
            for topic, slot in self._slots.items():
                if slot.payload == old:
                    self._slots[topic] = _Slot(new, slot.expires_s)

    def begin(self) -> None:
        """A new connection: the broker is told everything again."""
        with self._lock:
            for slot in self._slots.values():
                slot.is_sent = False

    def take(self, limit: int) -> list[RetainedValue]:
        """Values that the broker has not been sent on this connection; they count as sent from now on."""
        now = self._monotonic()
        taken: list[RetainedValue] = []
        with self._lock:
            for topic, slot in self._slots.items():
                if slot.is_sent or (slot.expires_s is not None and slot.expires_s <= now):
                    continue
                if len(taken) >= limit:
                    break
                slot.is_sent = True
                expiry_s = None if slot.expires_s is None else math.ceil(slot.expires_s - now)
                taken.append(RetainedValue(topic, slot.payload, expiry_s))
        return taken
