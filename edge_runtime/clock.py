"""From the capture clock to unix time, for the `ts` of an event.

Windows run on the capture clock, which never steps. Only their `ts` is wall-clock time: of a camera, what the
wall clock says at that moment, so that a clock that was set back is followed and not fought; of a file, the time
the film would have had if it had begun when it was opened.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class CaptureClock:
    """Translates times of one source.

    Args:
        is_live: the capture clock is `monotonic`.
        wall: unix time, s.
        monotonic: a clock that never steps, s.
    """

    def __init__(
        self,
        *,
        is_live: bool,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._is_live, self._wall, self._monotonic = is_live, wall, monotonic
        self._anchor: tuple[float, float] | None = None

    def begin(self, timestamp_s: float) -> None:
        """The first frame is here; told again, it changes nothing."""
        if self._anchor is None:
            self._anchor = timestamp_s, self._wall()

    def unix_s(self, timestamp_s: float) -> float:
        """Unix time of a moment on the capture clock; of a file, `begin` was called before."""
        if self._is_live or self._anchor is None:
            return self._wall() - (self._monotonic() - timestamp_s)
        began_s, began_unix_s = self._anchor
        return began_unix_s + (timestamp_s - began_s)
