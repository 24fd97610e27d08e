"""The desk where requests over MQTT are answered: one thread, a short queue, and nobody waits for it.

The publisher's thread leaves a request here and goes on; so a handler may read the disk or think for a second. What
takes longer is accepted at once and answered again when it is done (`Exchange.accepted`).
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Self

from edge_runtime.errors import RoomtoneError
from edge_runtime.publishing.flat import Scalar
from edge_runtime.publishing.request_payloads import Request, Response, Status
from edge_runtime.publishing.topics import Command, Topics

_log = logging.getLogger(__name__)

MAX_REQUEST_BYTES: Final = 4096
_WAITING: Final = 16  # requests; whoever sends more than a desk can answer is not answered
_REMEMBERED: Final = 64  # transactions whose last response is sent again, when QoS 1 delivers a request twice
_MAX_ERROR: Final = 1000

Respond = Callable[[Response], None]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and the way to answer it; answers may come from any thread."""

    command: Command
    request: Request
    _answer: Callable[[Status, Mapping[str, Scalar], str | None], None]

    def ok(self, data: Mapping[str, Scalar]) -> None:
        """It is done."""
        self._answer("ok", data, None)

    def accepted(self, data: Mapping[str, Scalar]) -> None:
        """It is being done; `ok` or `error` follows."""
        self._answer("accepted", data, None)

    def error(self, problem: str, data: Mapping[str, Scalar] | None = None) -> None:
        """It was not done, and why."""
        self._answer("error", data or {}, problem[:_MAX_ERROR])


Handler = Callable[[Exchange], None]


class RequestDesk:
    """See the module. Context manager: owns the thread.

    Args:
        topics: of this device.
        handlers: what each command does; an error that they raise becomes the response.
        respond: takes each response, from any thread.
        wall: unix time, s.
    """

    def __init__(
        self,
        topics: Topics,
        handlers: Mapping[Command, Handler],
        respond: Respond,
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._topics, self._handlers, self._respond, self._wall = topics, handlers, respond, wall
        self._queue: queue.Queue[tuple[Command, bytes] | None] = queue.Queue(_WAITING)
        self._answered: OrderedDict[tuple[Command, str], Response | None] = OrderedDict()
        self._thread = threading.Thread(target=self._run, name=f"requests {topics.name}", daemon=True)

    def take(self, command: Command, payload: bytes) -> None:
        """Leaves a request here; never waits."""
        try:
            self._queue.put_nowait((command, payload))
        except queue.Full:
            _log.warning("more requests than can be answered: %s is dropped", command)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        while True:
            try:
                self._queue.put_nowait(None)
                break
            except queue.Full:  # what waits is not answered any more
                self._queue.get_nowait()
        self._thread.join()

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            command, payload = item
            try:
                self.answer(command, payload)
            except Exception:  # noqa: BLE001 - the next request wants an answer too
                _log.exception("the request %s could not be answered", command)

    def answer(self, command: Command, payload: bytes) -> None:
        """Answers in the caller's thread, for callers that may wait; what `take` leaves here comes to it, too."""
        try:
            if len(payload) > MAX_REQUEST_BYTES:
                raise ValueError(f"{len(payload)} bytes are more than a request has")
            request = Request.decode(payload)
        except ValueError as exc:
            self._exchange(command, Request()).error(f"the request is none: {exc}")
            return
        key = (command, request.transaction or "")
        if request.transaction is not None and key in self._answered:
            if (before := self._answered[key]) is not None:
                self._respond(before)
            return
        if request.transaction is not None:
            self._remember(key, None)
        exchange = self._exchange(command, request)
        try:
            self._handlers[command](exchange)
        except RoomtoneError as exc:
            exchange.error(f"{exc} ({exc.hint})" if exc.hint else str(exc))

    def _exchange(self, command: Command, request: Request) -> Exchange:
        def answer(status: Status, data: Mapping[str, Scalar], error: str | None) -> None:
            response = Response(
                ts=round(self._wall(), 3),
                site=self._topics.site,
                room=self._topics.room,
                device=self._topics.device,
                command=command,
                status=status,
                transaction=request.transaction,
                error=error,
                data=dict(data),
            )
            if request.transaction is not None:
                self._remember((command, request.transaction), response)
            self._respond(response)

        return Exchange(command, request, answer)

    def _remember(self, key: tuple[Command, str], response: Response | None) -> None:
        self._answered[key] = response
        while len(self._answered) > _REMEMBERED:
            self._answered.popitem(last=False)
