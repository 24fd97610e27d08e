"""Which MQTT version the next connection speaks.

paho does not fall back by itself. Some brokers refuse MQTT 5 with a reason (CONNACK 132, "unsupported
protocol version"); they are spoken to in 3.1.1 from then on. Others close the connection, or read the longer
CONNECT wrongly and wait (amqtt 0.12); but so does a broker that is just restarting. Then 3.1.1 is tried at
once, and if that works the connection after it begins with 5 again, because 3.1.1 has neither refusals nor
message expiry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from edge_runtime.errors import BrokerError
from edge_runtime.publishing.connection import Connection, Message, Protocol, Session
from edge_runtime.publishing.endpoint import Endpoint


class ProtocolChoice:
    """See the module.

    Args:
        setting: `mqtt.protocol` of the configuration.

    Attributes:
        protocol: for the next connection.
    """

    def __init__(self, setting: Literal["auto", "5", "3.1.1"]) -> None:
        self._is_fixed = setting != "auto"
        self._was_refused = False
        self.protocol: Protocol = "5" if setting == "auto" else setting

    def failed(self, doubt: Literal["no", "refused", "unanswered"]) -> bool:
        """Takes `Connection.protocol_in_doubt` of a failed attempt.

        Returns:
            Whether the other version should be tried at once: after a failure with 5, not after one with
            3.1.1, so that the two do not chase each other without a pause.
        """
        if self._is_fixed:
            return False
        if doubt == "no":
            self.protocol = "3.1.1" if self._was_refused else "5"
            return False
        self._was_refused = doubt == "refused" and self.protocol == "5"
        was_newer = self.protocol == "5"
        self.protocol = "3.1.1" if was_newer else "5"
        return was_newer

    def connected(self) -> None:
        """The connection stands; after a mere suspicion the one after it tries 5 again."""
        if not self._is_fixed and not self._was_refused:
            self.protocol = "5"


def connect(
    endpoint: Endpoint,
    choice: ProtocolChoice,
    *,
    client_id: str,
    wake: Callable[[], None],
    on_message: Callable[[Message], None],
    session: Session | None = None,
) -> Connection:
    """Makes a connection, in the other version of the protocol if need be; for clients without a last will.

    Raises:
        BrokerError: there is none.
    """
    while True:
        connection = Connection(
            endpoint,
            client_id=client_id,
            protocol=choice.protocol,
            wake=wake,
            on_message=on_message,
            session=session,
        )
        try:
            connection.open()
        except BrokerError:
            if choice.failed(connection.protocol_in_doubt):
                continue
            raise
        choice.connected()
        return connection
