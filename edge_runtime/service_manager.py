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
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
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


class ServiceGroup:
    """Several agents in one service: ready when all are, alive when each of them has got on.

    An agent that has ended is waited for no more, until another one in its place is ready: whoever opens it again
    watches over it. One that hangs is waited for, so systemd starts the service anew.

    Args:
        manager: to be told.
        names: of the agents.
    """

    def __init__(self, manager: Supervisor, names: Sequence[str]) -> None:
        self._manager = manager
        self._lock = Lock()
        self._expected, self._at_work = set(names), set(names)
        self._got_on: set[str] = set()
        self._lines = dict.fromkeys(names, "starting")

    def member(self, name: str) -> GroupMember:
        """What the agent of this name reports to."""
        return GroupMember(self, name)

    def ready(self, name: str) -> None:
        """Its start-up is over; the service's is, when the last one's is."""
        with self._lock:
            self._at_work.add(name)
            is_last = self._expected == {name}
            self._expected.discard(name)
        if is_last:
            self._manager.ready()

    def alive(self, name: str) -> None:
        """Its pipeline got on."""
        with self._lock:
            self._got_on.add(name)
            if not self._got_on >= self._at_work:
                return
            self._got_on.clear()
        self._manager.alive()

    def status(self, name: str, text: str) -> None:
        """Its line; all of them are one line of the service's."""
        with self._lock:
            self._lines[name] = text
            told = "; ".join(f"{each}: {line}" for each, line in self._lines.items())
        self._manager.status(told)

    def ended(self, name: str) -> None:
        """It is not at work any more."""
        with self._lock:
            self._at_work.discard(name)
            self._lines[name] = "ended"


@dataclass(frozen=True, slots=True)
class GroupMember:
    """One agent's supervisor in a group; see `ServiceManager` for what it is told."""

    group: ServiceGroup
    name: str

    def ready(self) -> None:  # noqa: D102
        self.group.ready(self.name)

    def alive(self) -> None:  # noqa: D102
        self.group.alive(self.name)

    def status(self, text: str) -> None:  # noqa: D102
        self.group.status(self.name, text)

    def stopping(self) -> None:  # noqa: D102
        self.group.ended(self.name)
