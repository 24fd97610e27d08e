"""Turns at a board's cores: of the cameras that share it, no more loops are at work than there are cores.

Without them the kernel decides who gets on when there is too much to do, and it knows nothing of rooms: a camera that
fell behind stays behind. Who asks first is served first, and a camera asks for one frame at a time, so all of them get
equally many.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock


class Turns:
    """A semaphore that hands its places on in the order in which they were asked for; each turn is a `with` block.

    Args:
        places: turns at the same time.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._lock = Lock()
        self._waiting: deque[Lock] = deque()

    def __enter__(self) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            mine = Lock()
            mine.acquire()
            self._waiting.append(mine)
        mine.acquire()  # until a place is handed on

    def __exit__(self, *exc_info: object) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Within a turn: gives the place up for the block, and asks for one again behind it."""
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()


def phase(number: int) -> float:
    """Where in the interval of a beat the camera of this number works; (0, 1], even for any count of cameras.

    The first has 1, the second 1/2, then 1/4, 3/4, 1/8 ...: the binary digits of the number behind the point, in
    reverse (van der Corput 1935).
    """
    share, digit = 0.0, 0.5
    while number:
        share += digit * (number & 1)
        number, digit = number >> 1, digit / 2
    return share or 1.0
