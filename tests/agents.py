"""Agents at work, for tests that look at one from outside."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from edge_runtime.agent import Agent
from edge_runtime.config import Config


class Worker(Protocol):
    """What runs until it is stopped."""

    def run(self) -> object: ...

    def stop(self) -> None: ...


@contextmanager
def in_a_thread(worker: Worker) -> Iterator[None]:
    """Runs it in a thread, as long as the block lasts."""
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(30)
        assert not thread.is_alive()


@contextmanager
def working(config: Config, **arguments: Any) -> Iterator[Agent]:
    """An agent at work in a thread, as long as the block lasts."""
    with Agent(config, **arguments) as agent, in_a_thread(agent):
        yield agent


@contextmanager
def told_at_work(folder: Path) -> Iterator[tuple[dict[str, str], Callable[[], None]]]:
    """The environment of an agent in a process of its own, and a wait until it has analysed frames for a while.

    It says so itself, as it does to systemd's watchdog.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(folder / "notify"))
        sock.settimeout(60)

        def wait() -> None:
            heard = 0
            while heard < 2:  # half a second apart
                heard += sock.recv(4096) == b"WATCHDOG=1"

        yield {**os.environ, "NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "2000000"}, wait
