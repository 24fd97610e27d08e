"""An MQTT broker inside this process, for the demo only: amqtt, anonymous, on a loopback port."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from types import TracebackType
from typing import Any, Final, Self

from edge_runtime.errors import BrokerUnreachableError, MissingExtraError

_START_TIMEOUT_S: Final = 10.0


class DemoBroker:
    """Context manager: the broker runs in a thread of its own while the block does.

    Attributes:
        url: `mqtt://127.0.0.1:<free port>`.

    Raises (on entry):
        MissingExtraError: amqtt is not installed.
        BrokerUnreachableError: it did not start.
    """

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.url = f"mqtt://127.0.0.1:{self._port}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="demo-broker", daemon=True)
        self._broker: Any = None

    def __enter__(self) -> Self:
        try:
            from amqtt.broker import Broker
        except ModuleNotFoundError as exc:
            raise MissingExtraError("the demo's broker", "demo") from exc
        logging.getLogger("amqtt").setLevel(logging.ERROR)
        logging.getLogger("transitions").setLevel(logging.ERROR)
        settings = {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{self._port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }

        async def start() -> Any:
            broker = Broker(settings)  # wants a running loop
            await broker.start()
            return broker

        self._thread.start()
        try:
            self._broker = asyncio.run_coroutine_threadsafe(start(), self._loop).result(_START_TIMEOUT_S)
        except Exception as exc:
            self._end_loop()
            raise BrokerUnreachableError(self.url, f"the embedded broker did not start: {exc}") from exc
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            asyncio.run_coroutine_threadsafe(self._broker.shutdown(), self._loop).result(_START_TIMEOUT_S)
        finally:
            self._end_loop()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_TIMEOUT_S)
        self._loop.close()
