"""What the device is told over MQTT: the shutter, the activity, requests, and that Home Assistant has started.

Messages come in on the connection's network thread and wait here; the publisher's thread obeys them, so that no
callback ever holds up the network.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable

from edge_runtime.publishing.connection import Message
from edge_runtime.publishing.discovery import BIRTH
from edge_runtime.publishing.topics import COMMANDS, Command, Topics

_log = logging.getLogger(__name__)


class Inbox:
    """See the module. `take` may be called from any thread, all else from one.

    Args:
        topics: of this device.
        on_enabled: called with each ON or OFF of `enabled/set`.
        on_context: called with each word of `context/set`; raises ValueError for one that it does not know.
        on_request: called with each request; None: requests are not listened to.

    Attributes:
        ignored: messages on `enabled/set` and `context/set` that were none of their words, and requests that were
            retained.
        stumbles: exceptions of what was called.
    """

    def __init__(
        self,
        topics: Topics,
        *,
        on_enabled: Callable[[bool], None],
        on_context: Callable[[str], None],
        on_request: Callable[[Command, bytes], None] | None = None,
    ) -> None:
        self._on_enabled, self._on_context = on_enabled, on_context
        self._obeyed: dict[str, Callable[[Message], None]] = {
            topics.enabled_set: self._obey_enabled,
            topics.context_set: self._obey_context,
        }
        if on_request is not None:
            self._obeyed |= {
                topics.request(command): self._taker(command, on_request) for command in COMMANDS
            }
        self._waiting: deque[Message] = deque()
        self.ignored = self.stumbles = 0

    @property
    def topics(self) -> Iterable[str]:
        """What to subscribe to."""
        return self._obeyed.keys()

    def listen_for_birth(self, topic: str, on_birth: Callable[[], None]) -> None:
        """Listens to Home Assistant as well.

        Args:
            topic: on which it says that it has started.
            on_birth: called when it does.
        """

        def obey(message: Message) -> None:
            # What is retained of an earlier start was answered by the connection itself.
            if message.payload == BIRTH and not message.is_retained:
                on_birth()

        self._obeyed[topic] = obey

    def take(self, message: Message) -> None:
        """Leaves a message here; never waits."""
        self._waiting.append(message)

    def obey(self) -> None:
        """Does what the messages say, in order; one that cannot be obeyed stops none of the others."""
        while self._waiting:
            message = self._waiting.popleft()
            try:
                self._obeyed[message.topic](message)
            except Exception:  # noqa: BLE001 - the next message wants to be obeyed too
                self.stumbles += 1
                _log.exception("the command %.40r on %s could not be obeyed", message.payload, message.topic)

    def _obey_enabled(self, message: Message) -> None:
        if message.payload in (b"ON", b"OFF"):
            self._on_enabled(message.payload == b"ON")
        else:
            self.ignored += 1
            _log.warning("%s: %.40r is neither ON nor OFF", message.topic, message.payload)

    def _obey_context(self, message: Message) -> None:
        try:
            self._on_context(message.payload.decode())
        except ValueError as exc:
            self.ignored += 1
            _log.warning("%s: %.200s", message.topic, exc)

    def _taker(
        self, command: Command, on_request: Callable[[Command, bytes], None]
    ) -> Callable[[Message], None]:
        def take(message: Message) -> None:
            if message.is_retained:  # it would be asked again on every connection
                self.ignored += 1
                _log.warning("%s: a retained request is not answered; clear it", message.topic)
            else:
                on_request(command, message.payload)

        return take
