"""Where the broker is and what it takes to be let in; and what its refusals and silences mean, in sentences.

Foreign exceptions and MQTT reason codes end here: beyond this module there are `BrokerUnreachableError` (no
TCP, no TLS, no answer) and `BrokerRefusedError` (the broker answered, and said no), each with a hint for
the operator.
"""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from edge_runtime.config import MqttSection
from edge_runtime.errors import (
    BrokerError,
    BrokerRefusedError,
    BrokerUnreachableError,
    ConfigurationError,
    Fault,
)
from edge_runtime.publishing.credentials import Credentials

# MQTT 5.0 §2.4 reason codes; paho translates the return codes of 3.1.1 into them.
UNSPECIFIED_ERROR = 128
UNSUPPORTED_PROTOCOL_VERSION = 132
CLIENT_IDENTIFIER_NOT_VALID = 133
BAD_USER_NAME_OR_PASSWORD = 134
NOT_AUTHORIZED = 135
BANNED = 138
SESSION_TAKEN_OVER = 142
NO_MATCHING_SUBSCRIBERS = 16

_CREDENTIALS_HINT = (
    "check ROOMTONE_MQTT_USERNAME and ROOMTONE_MQTT_PASSWORD, or the files mqtt_username and mqtt_password "
    "of $CREDENTIALS_DIRECTORY"
)
# OpenSSL's X509_V_ERR_…
_WRONG_NAME = (62, 64)  # HOSTNAME_MISMATCH, IP_ADDRESS_MISMATCH
_NOT_YET_VALID, _EXPIRED = 9, 10


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A broker, ready to be connected to.

    Attributes:
        url: as configured; holds no password.
        host, port: taken from it; 1883 and 8883 are the ports of mqtt and mqtts.
        tls: None for plain TCP.
        keepalive_s: MQTT keep-alive.
        timeout_s: for TCP and TLS, and again for the broker's answer.
        credentials: user and password.
    """

    url: str
    host: str
    port: int
    tls: ssl.SSLContext | None = field(repr=False)
    keepalive_s: int
    timeout_s: float
    credentials: Credentials

    @classmethod
    def from_section(cls, mqtt: MqttSection, credentials: Credentials) -> Self:
        """Reads the section and its certificate files.

        Raises:
            ConfigurationError: there is no url, or a certificate file cannot be used.
        """
        if mqtt.url is None:
            raise ConfigurationError("[mqtt]", [Fault("mqtt.url", "names no broker")])
        parts = urlsplit(mqtt.url)
        is_tls = parts.scheme == "mqtts"
        return cls(
            url=mqtt.url,
            host=parts.hostname or "",
            port=parts.port or (8883 if is_tls else 1883),
            tls=_tls_context(mqtt, credentials) if is_tls else None,
            keepalive_s=mqtt.keepalive_s,
            timeout_s=mqtt.connect_timeout_s,
            credentials=credentials,
        )

    def unreachable(self, problem: str, hint: str = "") -> BrokerUnreachableError:
        """An error about this broker."""
        return BrokerUnreachableError(self.url, problem, hint=hint or "roomtone goes on and keeps trying")


class _TidySocket(ssl.SSLSocket):
    """Closes itself when the handshake fails; paho leaves it to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def _tls_context(mqtt: MqttSection, credentials: Credentials) -> ssl.SSLContext:
    faults = []
    cert, key = mqtt.client_cert, mqtt.client_key
    if cert is None:
        cert, key = credentials.client_cert, credentials.client_key
    context = ssl.create_default_context()
    if mqtt.ca_file is not None:
        try:
            context = ssl.create_default_context(cafile=str(mqtt.ca_file))
        except (OSError, ssl.SSLError) as exc:
            faults.append(Fault("mqtt.ca_file", f"{mqtt.ca_file} cannot be used: {_reason(exc)}"))
    if cert is not None:
        try:
            context.load_cert_chain(str(cert), str(key))
        except (OSError, ssl.SSLError) as exc:
            where = f"{cert} with {key}"
            faults.append(Fault("mqtt.client_cert", f"{where} cannot be used: {_reason(exc)}"))
    context.sslsocket_class = _TidySocket
    if faults:
        raise ConfigurationError("[mqtt]", faults, hint="both are PEM files that roomtone's user can read")
    return context


def _reason(exc: OSError) -> str:
    if isinstance(exc, ssl.SSLError):
        return (exc.reason or "not PEM").replace("_", " ").lower()
    return exc.strerror or str(exc)


def connect_problem(endpoint: Endpoint, exc: Exception) -> BrokerUnreachableError:
    """Why there is no connection: the exception of TCP or TLS in words, most specific first."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        if exc.verify_code in _WRONG_NAME:
            return endpoint.unreachable(
                f"its certificate is for another name: {exc.verify_message}",
                f"put the certificate's name into mqtt.url, or give the broker one for {endpoint.host}",
            )
        if exc.verify_code in (_NOT_YET_VALID, _EXPIRED):
            today = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
            renew = (
                ""
                if exc.verify_code == _NOT_YET_VALID
                else "; if it is right, renew the broker's certificate"
            )
            return endpoint.unreachable(
                f"its certificate is out of its dates: {exc.verify_message}",
                f"this device's clock says {today} UTC: if that is wrong, set it{renew}",
            )
        return endpoint.unreachable(
            f"its certificate is not trusted: {exc.verify_message}",
            "mqtt.ca_file must be the certificate of the authority that signed the broker's",
        )
    if isinstance(exc, ssl.SSLError):
        return endpoint.unreachable(
            f"TLS failed: {_reason(exc)}",
            "does this port speak TLS? mqtt:// and mqtts:// have different ports",
        )
    if isinstance(exc, socket.gaierror | UnicodeError):
        return endpoint.unreachable(
            f"the name {endpoint.host} is not known", "check mqtt.url and the device's DNS"
        )
    if isinstance(exc, ConnectionResetError) and endpoint.tls is not None:
        return endpoint.unreachable(
            "hung up on the TLS handshake",
            "does this port speak TLS? mqtt:// and mqtts:// have different ports",
        )
    if isinstance(exc, ConnectionRefusedError):
        return endpoint.unreachable(
            f"nothing listens on port {endpoint.port}", "is the broker running, and is the port right?"
        )
    if isinstance(exc, TimeoutError):
        return endpoint.unreachable(
            f"no connection within {endpoint.timeout_s:g} s", "check address, network and firewall"
        )
    return endpoint.unreachable(f"the connection failed: {exc}", "check address, network and firewall")


def refusal(endpoint: Endpoint, reason: int, words: str, *, client_id: str = "") -> BrokerError:
    """What a refusing CONNACK, or a DISCONNECT from the broker, means."""
    if reason in (BAD_USER_NAME_OR_PASSWORD, NOT_AUTHORIZED):
        given = endpoint.credentials.username
        who = f"user {given}" if given else "a client without a user name"
        return BrokerRefusedError(endpoint.url, f"refuses {who}: {words.lower()}", hint=_CREDENTIALS_HINT)
    if reason == SESSION_TAKEN_OVER:
        return BrokerRefusedError(
            endpoint.url,
            f"another client connected as {client_id}",
            hint="names must be unique: is a second device configured like this one, or a second collector "
            "running under the same --name?",
        )
    if reason in (CLIENT_IDENTIFIER_NOT_VALID, BANNED, UNSUPPORTED_PROTOCOL_VERSION):
        return BrokerRefusedError(endpoint.url, words.lower(), hint="ask whoever runs the broker")
    return endpoint.unreachable(f"closed the connection: {words.lower()}")


def topic_refusal(endpoint: Endpoint, verb: str, topic: str, words: str) -> BrokerRefusedError:
    """What a refusing PUBACK or SUBACK means."""
    user = endpoint.credentials.username
    who = f"user {user}" if user else "clients without a user name"
    return BrokerRefusedError(
        endpoint.url,
        f"does not let {who} {verb} {topic}: {words.lower()}",
        hint=f"let {who} {verb} it in the broker's access list",
    )
