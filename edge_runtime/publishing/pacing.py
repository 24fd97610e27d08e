"""Two clocks of the network side: how fast to send, and how long to wait before the next attempt.

A PUBACK is not a delivery: a default Mosquitto acknowledged 5,000 messages in a burst and handed its online
subscriber 4,137 of them. Hence the token bucket, even though every event waits for its PUBACK.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable


class TokenBucket:
    """Lets `rate_hz` things a second pass, and after a pause a tenth of a second's worth at once.

    Args:
        rate_hz: above 0.
        monotonic: a clock that never steps, s.
    """

    def __init__(self, rate_hz: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._rate_hz, self._monotonic = rate_hz, monotonic
        self._capacity = max(1.0, rate_hz / 10)
        self._tokens = self._capacity
        self._filled_s = monotonic()

    @property
    def available(self) -> int:
        """How many may pass now."""
        now = self._monotonic()
        self._tokens = min(self._capacity, self._tokens + (now - self._filled_s) * self._rate_hz)
        self._filled_s = now
        return int(self._tokens)

    def take(self, count: int) -> None:
        """Notes that so many have passed."""
        self._tokens -= count

    @property
    def wait_s(self) -> float:
        """Time until one more may pass."""
        return 0.0 if self.available else (1.0 - self._tokens) / self._rate_hz


class Backoff:
    """Pauses that double from `first_s` to `longest_s`, each shortened by up to a quarter at random.

    The jitter keeps a school's devices from coming back to a restarted broker all at once.
    """

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s, self._longest_s = first_s, longest_s
        self._next_s = first_s

    def pause_s(self) -> float:
        """The pause before the next attempt."""
        pause, self._next_s = self._next_s, min(self._next_s * 2, self._longest_s)
        return pause * random.uniform(0.75, 1.0)  # noqa: S311 - no secret

    def connection_lasted(self, duration_s: float) -> None:
        """Begins anew after a connection that outlived the next pause; a shorter one may be flapping."""
        if duration_s >= self._next_s:
            self._next_s = self._first_s
