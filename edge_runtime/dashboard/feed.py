"""The live feed to a page: server-sent events, a few times a second, changes only.

    id: <epoch>.<revision>
    event: changes            {"devices": [...]}                      what changed
    event: server             {"now": ..., "broker": {...}, ...}      every few seconds, and when it changes
    event: anew               {}                                      fetch the whole state again

The id is what a browser sends back as `Last-Event-ID` when it connects again, so it goes on where it was.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from edge_runtime.dashboard.picture import Picture

BATCH_S: Final = 0.25
SERVER_EVERY_S: Final = 5.0  # a sign of life too: proxies end what is silent for a minute
RETRY_MS: Final = 2000
_MEMO: Final = 8


class Feed:
    """Makes the events; pages that have seen the same share the work.

    Args:
        picture: whose changes are told.
        server_state: what is told about the server itself.
        is_stopping: True ends every stream.
    """

    def __init__(
        self,
        picture: Picture,
        server_state: Callable[[], dict[str, Any]],
        is_stopping: Callable[[], bool],
    ) -> None:
        self._picture, self._server_state, self._is_stopping = picture, server_state, is_stopping
        self._memo: dict[tuple[int, int], tuple[int, bytes]] = {}
        self.listeners = 0

    def whole(self) -> dict[str, Any]:
        """The state that a page begins with."""
        changes = self._picture.changes_since(0)
        revision, devices = (changes.revision, changes.devices) if changes is not None else (0, [])
        return {
            "id": self._id(revision),
            "devices": devices,
            "server": self._server_state() | {"now": round(time.time(), 3)},
        }

    async def events(self, seen: str) -> AsyncIterator[bytes]:
        """Streams what comes after the event id `seen`, until the page or the server goes."""
        self.listeners += 1
        try:
            async for event in self._events(seen):
                yield event
        finally:
            self.listeners -= 1

    async def _events(self, seen: str) -> AsyncIterator[bytes]:
        epoch, _, number = seen.partition(".")
        revision = int(number) if number.isdecimal() and len(number) < 16 else 0
        if epoch != self._picture.epoch:
            yield _event("anew", {}, self._id(0))
            return
        yield f"retry: {RETRY_MS}\n\n".encode()
        told, told_s = None, 0.0
        while not self._is_stopping():
            state = self._server_state()
            if state != told or time.monotonic() - told_s >= SERVER_EVERY_S:
                told, told_s = state, time.monotonic()
                yield _event("server", state | {"now": round(time.time(), 3)})
            news = self._news_since(revision)
            if news is None:
                yield _event("anew", {}, self._id(0))
                return
            revision, event = news
            if event:
                yield event
            await asyncio.sleep(BATCH_S)

    def _news_since(self, revision: int) -> tuple[int, bytes] | None:
        key = (revision, self._picture.revision)
        if key[0] == key[1]:
            return revision, b""
        if key not in self._memo:
            changes = self._picture.changes_since(revision)
            if changes is None:
                return None
            event = _event("changes", {"devices": changes.devices}, self._id(changes.revision))
            self._memo[key] = changes.revision, event
            while len(self._memo) > _MEMO:
                del self._memo[next(iter(self._memo))]
        return self._memo[key]

    def _id(self, revision: int) -> str:
        return f"{self._picture.epoch}.{revision}"


def _event(name: str, data: dict[str, Any], event_id: str | None = None) -> bytes:
    # JSON of one line: a line break inside a string is \n there, so the frame cannot be broken from outside.
    body = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    head = f"id: {event_id}\n" if event_id is not None else ""
    return f"{head}event: {name}\ndata: {body}\n\n".encode()
