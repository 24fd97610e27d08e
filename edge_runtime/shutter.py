"""The privacy shutter: closed, the camera device is closed. It stays closed over a restart."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

_log = logging.getLogger(__name__)


class Shutter:
    """Set from the network's thread, read from the loop's.

    Args:
        memory: a file that exists while the shutter is closed; None: it is open at each start.
    """

    def __init__(self, memory: Path | None) -> None:
        self._memory = memory
        self._is_open = memory is None or not memory.exists()
        self._changed = threading.Event()

    @property
    def is_open(self) -> bool:
        """Whether the camera may be used."""
        return self._is_open

    def set(self, is_open: bool) -> None:
        """Opens or closes it. A closed shutter that cannot be remembered is closed all the same."""
        self._is_open = is_open
        self._changed.set()
        if self._memory is None:
            return
        try:
            if is_open:
                self._memory.unlink(missing_ok=True)
            else:
                self._memory.touch()
        except OSError as exc:
            _log.warning("the shutter's position cannot be kept over a restart: %s", exc)

    def wake(self) -> None:
        """Ends a wait without a change."""
        self._changed.set()

    def wait_for_change(self, timeout_s: float) -> None:
        """Waits until somebody sets it or wakes the waiter, at most so long."""
        self._changed.wait(timeout_s)
        self._changed.clear()
