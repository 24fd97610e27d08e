"""Commands that run until they are told to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def ends_on_sigterm() -> Iterator[Callable[[], bool]]:
    """Gives a question that is answered with True once SIGTERM or Ctrl-C came, so that the end is in order."""
    told = threading.Event()
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda *_: told.set()) for number in numbers}
    try:
        yield told.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
