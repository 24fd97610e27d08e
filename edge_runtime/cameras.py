"""Several cameras on one board: an agent for each, in a thread of its own, over the same scan thread, engine and rates.

    with Cameras([read_room_12, read_room_13]) as cameras:
        cameras.run()

Each camera stays a whole device: its own configuration, topics, outbox, shutter and privacy. One that fails is opened
again after a pause while the others go on.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import IO, Final, Self

from edge_runtime.agent import Agent, RunSummary
from edge_runtime.config import Config
from edge_runtime.errors import ConfigurationError, Fault, RoomtoneError
from edge_runtime.frames.live import Backoff
from edge_runtime.outlet import device_name
from edge_runtime.publishing.payloads import EmotionEvent
from edge_runtime.resources import Resources
from edge_runtime.service_manager import ServiceGroup, ServiceManager, Supervisor

_log = logging.getLogger(__name__)

_PAUSE_S: Final = 5.0  # before a camera that failed is opened again; doubled up to ...
_MOST_PAUSE_S: Final = 60.0
_LOOK_S: Final = 0.5  # so often a signal is looked for


class Cameras:
    """See the module. Context manager: entering opens every agent, or none.

    Args:
        reads: for each camera, what reads its configuration; asked again at the request `reload`.
        stream: gets the events of all as JSON lines; None: no lines.
        on_event: called with each event, in its camera's thread.
        manager: who wants to know that all are ready and alive; systemd when None.
        pause_s: before a camera that failed is opened again.

    Attributes:
        resources: what they share, once entered.

    Raises (on entry):
        ConfigurationError: two cameras are the same device, or as `Agent`.
        RoomtoneError: as `Agent`.
    """

    def __init__(
        self,
        reads: Sequence[Callable[[], Config]],
        *,
        stream: IO[str] | None = None,
        on_event: Callable[[EmotionEvent], None] = lambda event: None,
        manager: Supervisor | None = None,
        pause_s: float = _PAUSE_S,
    ) -> None:
        self._reads, self._stream, self._on_event = reads, stream, on_event
        self._manager = ServiceManager.from_environment() if manager is None else manager
        self._pause_s = pause_s
        self._stopping = threading.Event()
        self._owned = ExitStack()
        self._seats: list[_Seat] = []

    def __enter__(self) -> Self:
        configs = [read() for read in self._reads]
        _check_distinct(configs)
        group = ServiceGroup(self._manager, [device_name(config.device) for config in configs])
        with ExitStack() as opening:
            self.resources = opening.enter_context(Resources())
            for config, read in zip(configs, self._reads, strict=True):
                makes = partial(
                    Agent,
                    stream=self._stream,
                    on_event=self._on_event,
                    read_config=read,
                    resources=self.resources,
                    manager=group.member(device_name(config.device)),
                )
                self._seats.append(_Seat(config, makes, self._stopping, self._pause_s))
                opening.enter_context(self._seats[-1])
            self._owned = opening.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()
        self._owned.close()

    def stop(self) -> None:
        """Asks all to end: their present windows are closed and sent. From a signal handler or another thread."""
        if not self._stopping.is_set():
            self._stopping.set()
            self._manager.stopping()
        for seat in self._seats:
            seat.stop()

    def run(self, *, until_end: bool = False) -> dict[str, RunSummary]:
        """Works until `stop`, or until all films are at their ends.

        Args:
            until_end: a camera ends with its film; otherwise the film begins again, as a camera would go on.

        Returns:
            Device, as site.room.device → what its last agent did.

        Raises:
            BrokenPipeError: whoever read the lines has gone.
            RoomtoneError: with `until_end`, one of the films could not be read to its end; the others were.
        """
        threads = [
            threading.Thread(target=seat.work, args=(until_end,), name=f"camera {seat.name}")
            for seat in self._seats
        ]
        for thread in threads:
            thread.start()
        try:
            while at_work := [thread for thread in threads if thread.is_alive()]:
                # Not `_stopping.wait`: its lock would be held while a signal's handler sets it.
                at_work[0].join(_LOOK_S)
                if self._stopping.is_set() or any(seat.has_lost_its_reader for seat in self._seats):
                    break
        finally:
            self.stop()
            for thread in threads:
                thread.join()
        for seat in self._seats:
            if seat.failure is not None:
                raise seat.failure
        return {seat.name: seat.summary for seat in self._seats if seat.summary is not None}


class _Seat:
    """One camera: the agent at work, and the one that follows it after a failure or a `reload`.

    Context manager: on entry the first agent opens.

    Args:
        config: to begin with.
        makes: an agent of a configuration.
        stopping: no other agent is to follow.
        pause_s: after a failure.

    Attributes:
        name: site.room.device.
        summary: of the last agent that came to its end.
        failure: why there will be no other one; None: it was told to stop, or its film is at its end.
    """

    def __init__(
        self, config: Config, makes: Callable[[Config], Agent], stopping: threading.Event, pause_s: float
    ) -> None:
        self.name = device_name(config.device)
        self.summary: RunSummary | None = None
        self.failure: Exception | None = None
        self._config, self._makes, self._stopping = config, makes, stopping
        jitter = random.Random()  # noqa: S311 - spreads restarts, keeps no secret
        self._backoff = Backoff(pause_s, max(pause_s, _MOST_PAUSE_S), jitter)
        self._agent: Agent | None = None  # opened

    @property
    def has_lost_its_reader(self) -> bool:
        """Whether nobody takes the lines any more (`| head`); then the others have nobody to write to either."""
        return isinstance(self.failure, BrokenPipeError)

    def stop(self) -> None:
        """Asks the agent at work to end."""
        if (agent := self._agent) is not None:
            agent.stop()

    def work(self, until_end: bool) -> None:
        """Keeps an agent at work."""
        is_going_on = True
        while is_going_on:
            began_s = time.monotonic()
            try:
                is_going_on = self._run_agent(until_end)
            except BrokenPipeError as exc:
                self.failure = exc
                return
            except Exception as exc:  # noqa: BLE001 - whatever it is, the other cameras go on
                _tell(self.name, exc)
                if until_end:
                    self.failure = exc
                    return
                if time.monotonic() - began_s > _MOST_PAUSE_S:
                    self._backoff.reset()  # it was well for a while
                is_going_on = not self._stopping.wait(self._backoff.next_pause_s())

    def _run_agent(self, until_end: bool) -> bool:
        """One agent from its beginning to its end; whether another one is to follow."""
        if self._agent is None:
            self._agent = self._makes(self._config).__enter__()
        agent = self._agent
        try:
            with ExitStack() as leaving:
                leaving.push(agent)
                if self._stopping.is_set():  # while it was being opened
                    agent.stop()
                self.summary = agent.run(until_end=until_end)
        finally:
            self._agent = None
        if agent.next_config is None:
            return False
        self._config = agent.next_config
        return not self._stopping.is_set()

    def __enter__(self) -> Self:
        self._agent = self._makes(self._config).__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._agent is not None:  # opened, and never at work
            self._agent.__exit__(*exc_info)


def _check_distinct(configs: Sequence[Config]) -> None:
    names = [device_name(config.device) for config in configs]
    faults = [
        Fault("device", f"{name} is the name of several cameras")
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    if faults:
        hint = "give each camera's file its own [device] room or device: together with site they must differ"
        raise ConfigurationError("this set of cameras", faults, hint=hint)


def _tell(name: str, problem: Exception) -> None:
    if isinstance(problem, RoomtoneError):
        _log.error("camera %s: %s (%s)", name, problem, problem.hint or "it is opened again")
    else:
        _log.error("camera %s failed", name, exc_info=problem)
