"""What the agent tells systemd: ready, alive, how it is, stopping (sd_notify(3)).

Alive is said by the pipeline and by nothing else: a frame was analysed, or the loop that supervises a camera
which is known to be away took its turn. A timer would go on saying it for a pipeline that hangs.

Without systemd, or with a unit that is not `Type=notify`, all of it does nothing.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol, Self

_log = logging.getLogger(__name__)


class Supervisor(Protocol):
    """Who wants to know how an agent is: systemd, or what stands between it and several agents."""

    def ready(self) -> None: ...  # noqa: D102 - see `ServiceManager`

    def alive(self) -> None: ...  # noqa: D102

    def status(self, text: str) -> None: ...  # noqa: D102

    def stopping(self) -> None: ...  # noqa: D102


class ServiceManager:
    """See the module.

    Args:
        address: of the datagram socket; a leading `@` means Linux's abstract namespace. None: nobody listens.
        watchdog_s: the unit's `WatchdogSec=`; None: it has none.
        monotonic: a clock that never steps, s.
    """

    def __init__(
        self,
        address: str | None,
        watchdog_s: float | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address, self._monotonic = address, monotonic
        # A quarter of the time allowed: systemd asks for at least half, and frames come faster than that.
        self._pause_s = None if watchdog_s is None else watchdog_s / 4
        self._alive_s = float("-inf")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Reads `$NOTIFY_SOCKET`, `$WATCHDOG_USEC` and `$WATCHDOG_PID`, which systemd sets for a service."""
        environ = os.environ if environ is None else environ
        watchdog_s = None
        if environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()):
            with suppress(KeyError, ValueError):
                watchdog_s = int(environ["WATCHDOG_USEC"]) / 1e6
        return cls(environ.get("NOTIFY_SOCKET") or None, watchdog_s)

    def ready(self) -> None:
        """Start-up is over."""
        self._send("READY=1")

    def alive(self) -> None:
        """The pipeline got on; call it as often as that is true."""
        now_s = self._monotonic()
        if self._pause_s is not None and now_s - self._alive_s >= self._pause_s:
            self._alive_s = now_s
            self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={' '.join(text.split())}")

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if self._address is None:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.settimeout(1.0)
                sock.sendto(message.encode(), address)
        except OSError as exc:
            _log.warning("systemd cannot be told %s: %s", message.partition("=")[0], exc)
