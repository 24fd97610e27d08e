"""The thread between the broker and the picture; it goes on without a broker, and says so."""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType
from typing import Any, Final, Self

from edge_runtime.dashboard.picture import Picture
from edge_runtime.publishing.endpoint import Endpoint
from edge_runtime.publishing.subscription import Subscription

log = logging.getLogger(__name__)

REVIEW_S: Final = 2.0  # so often devices are judged anew that said nothing
RECONNECT_MAX_S: Final = 10.0  # somebody is looking
_WAIT_S: Final = 0.5
_STOP_TIMEOUT_S: Final = 10.0


class Receiver:
    """See the module; a context manager that runs the thread.

    Args:
        picture: to fill.
        endpoint: the broker.
        subscription: to it, not connected yet.
    """

    def __init__(self, picture: Picture, endpoint: Endpoint, subscription: Subscription) -> None:
        self._picture, self._endpoint, self._subscription = picture, endpoint, subscription
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dashboard-receiver", daemon=True)
        self._changed_s = time.time()
        self._was_connected = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._subscription.wake()
        self._thread.join(_STOP_TIMEOUT_S)

    def state(self) -> dict[str, Any]:
        """What the page is told about the broker: nothing that would let anybody in."""
        problem = self._subscription.problem
        return {
            "url": self._endpoint.url,
            "connected": self._subscription.is_connected,
            "since": round(self._changed_s, 1),
            "problem": "" if problem is None else problem.problem,
            "hint": "" if problem is None else problem.hint,
            "foreign": self._picture.foreign,
            "last_foreign": self._picture.last_foreign,
            "dropped": self._subscription.dropped,
        }

    def _run(self) -> None:
        reviewed_s = time.monotonic()
        with self._subscription:
            while not self._stopping.is_set():
                try:
                    for message in self._subscription.next_messages(_WAIT_S):
                        self._picture.take(message)
                    if time.monotonic() - reviewed_s >= REVIEW_S:
                        reviewed_s = time.monotonic()
                        self._picture.review()
                except Exception:  # a page that silently stops being live is worse than any fault
                    log.exception("a message could not be shown")
                self._tell_once()

    def _tell_once(self) -> None:
        is_connected = self._subscription.is_connected
        if is_connected != self._was_connected:
            self._was_connected, self._changed_s = is_connected, time.time()
            if is_connected:
                log.info("connected to %s", self._endpoint.url)
            else:
                log.warning("%s; connecting again", self._subscription.problem)
