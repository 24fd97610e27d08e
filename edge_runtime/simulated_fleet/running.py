"""A fleet on one clock: who sends what when.

    fleet = Fleet(members(200, seed=7), bundle, Endpoint.from_section(mqtt, credentials), FleetPace(interval_s=10))
    with fleet:
        fleet.run(duration_s=60)

Devices send at their own phase, so that a broker sees a stream and not a burst every ten seconds. `speed` lets
the simulated clock run faster than the real one: more messages a second, each with the time that it would have.
"""

from __future__ import annotations

import heapq
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Self

from edge_runtime.bundle import Bundle
from edge_runtime.publishing.endpoint import Endpoint
from edge_runtime.simulated_fleet.connections import FleetConnections, Link
from edge_runtime.simulated_fleet.device import Member, Outgoing, SimulatedDevice

TURN_S: Final = 0.1
GOODBYE_S: Final = 10.0
AWAY_EVERY_S: Final = 240.0  # a device that breaks off is there so long,
AWAY_FOR_S: Final = 90.0  # and away so long


@dataclass(frozen=True, slots=True)
class FleetPace:
    """How often devices send.

    Attributes:
        interval_s: length of a window.
        stats_s: between two stats.
        speed: simulated seconds in a second.
        always_open: see `Lessons`.
    """

    interval_s: float = 10.0
    stats_s: float = 60.0
    speed: float = 1.0
    always_open: bool = True


@dataclass(frozen=True, slots=True)
class FleetCounters:
    """Totals so far.

    Attributes:
        devices, connected: how many there are, and how many the broker has accepted.
        windows, episodes, stats: sent.
        unacknowledged: messages that the broker has not answered.
        behind_s: how late the latest message left.
    """

    devices: int
    connected: int
    windows: int
    episodes: int
    stats: int
    unacknowledged: int
    behind_s: float


class Fleet:
    """See the module; a context manager that says goodbye for all.

    Args:
        fleet: its members.
        bundle: whose labels they tell.
        endpoint: the broker.
        pace: how often they send.
        seed: of all that is random.
    """

    def __init__(
        self, fleet: Sequence[Member], bundle: Bundle, endpoint: Endpoint, pace: FleetPace, *, seed: int = 7
    ) -> None:
        self._pace = pace
        self._connections = FleetConnections(endpoint)
        self._began_ts, self._began_s = time.time(), time.monotonic()
        self._agenda: list[tuple[float, int, Callable[[], float | None]]] = []
        self._order = 0
        self._windows = self._episodes = self._stats = 0
        self._behind_s = 0.0
        rng = random.Random(seed)  # noqa: S311 - no secret
        self._devices = [
            SimulatedDevice(member, bundle, seed=seed, window_s=pace.interval_s, always_open=pace.always_open)
            for member in fleet
        ]
        for device in self._devices:
            link = self._connections.add(
                device.topics.base.replace("/", "-"),
                device.will,
                device.subscriptions,
                on_open=partial(self._greet, device),
                on_command=partial(self._obey, device),
            )
            self._plan(rng.uniform(0, pace.interval_s), partial(self._send_window, device, link))
            self._plan(rng.uniform(0, pace.stats_s), partial(self._send_stats, device, link))
            if device.member.condition == "away":
                self._plan(rng.uniform(0, AWAY_EVERY_S), partial(self._come_and_go, link))
        self._links = dict(zip(self._devices, self._connections.links, strict=True))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def problem(self) -> str:
        """The latest trouble with the broker, in a sentence; empty at first."""
        return self._connections.problem

    @property
    def counters(self) -> FleetCounters:
        """Totals so far."""
        links = self._connections.links
        return FleetCounters(
            devices=len(links),
            connected=sum(link.is_open for link in links),
            windows=self._windows,
            episodes=self._episodes,
            stats=self._stats,
            unacknowledged=sum(len(link.unacknowledged) for link in links if link.is_wanted),
            behind_s=self._behind_s,
        )

    def run(
        self,
        *,
        duration_s: float | None = None,
        most_windows: int | None = None,
        should_stop: Callable[[], bool] = lambda: False,
        on_turn: Callable[[], None] = lambda: None,
    ) -> None:
        """Lets the fleet send.

        Args:
            duration_s: how long, real time; None: until told to stop.
            most_windows: stop after so many windows.
            should_stop: asked often.
            on_turn: called often, for whoever shows how it goes.
        """
        end_s = None if duration_s is None else time.monotonic() + duration_s
        while (end_s is None or time.monotonic() < end_s) and not should_stop():
            if most_windows is not None and self._windows >= most_windows:
                break
            self._do_what_is_due()
            wait_s = (self._agenda[0][0] - self._now()) / self._pace.speed if self._agenda else TURN_S
            self._connections.turn(min(TURN_S, wait_s))
            on_turn()

    def settle(self, timeout_s: float = GOODBYE_S) -> bool:
        """Waits until the broker has acknowledged everything.

        Returns:
            False when it has not, after the time.
        """
        end_s = time.monotonic() + timeout_s
        while self.counters.unacknowledged and time.monotonic() < end_s:
            self._connections.turn(TURN_S)
        return self.counters.unacknowledged == 0

    def close(self) -> None:
        """Every device says goodbye in order."""
        for device, link in self._links.items():
            if link.is_open:
                for message in device.goodbye():
                    link.publish(message)
        self.settle()
        for link in self._connections.links:
            link.leave()
        end_s = time.monotonic() + GOODBYE_S
        while any(link.is_open for link in self._connections.links) and time.monotonic() < end_s:
            self._connections.turn(TURN_S)
        self._connections.close()

    def _now(self) -> float:
        """Simulated time since the beginning, s."""
        return (time.monotonic() - self._began_s) * self._pace.speed

    def _ts(self) -> float:
        return self._began_ts + self._now()

    def _plan(self, at_s: float, task: Callable[[], float | None]) -> None:
        self._order += 1
        heapq.heappush(self._agenda, (at_s, self._order, task))

    def _do_what_is_due(self) -> None:
        """Runs the tasks whose time has come; each says after how long it wants to come again."""
        turn_ends_s = time.monotonic() + TURN_S  # the sockets want their turn as well
        while self._agenda and time.monotonic() < turn_ends_s:
            late_s = self._now() - self._agenda[0][0]
            if late_s < 0:
                break
            self._behind_s = late_s / self._pace.speed
            at_s, _, task = heapq.heappop(self._agenda)
            if (pause_s := task()) is not None:
                self._plan(at_s + pause_s, task)

    def _greet(self, device: SimulatedDevice) -> None:
        self._publish(self._links[device], device.greeting(self._ts()))

    def _obey(self, device: SimulatedDevice, topic: str, payload: bytes) -> None:
        self._publish(self._links[device], device.obey(topic, payload, self._ts()))

    def _send_window(self, device: SimulatedDevice, link: Link) -> float:
        out = device.window(self._ts())
        self._windows += sum(message.topic == device.topics.emotion for message in out)
        self._episodes += sum(message.topic == device.topics.episode for message in out)
        self._publish(link, out)
        return self._pace.interval_s

    def _send_stats(self, device: SimulatedDevice, link: Link) -> float:
        if link.is_open:
            self._publish(link, [device.stats(self._ts())])
            self._stats += 1
        return self._pace.stats_s

    def _come_and_go(self, link: Link) -> float:
        if link.is_wanted:
            link.break_off()
            return AWAY_FOR_S
        link.is_wanted = True
        return AWAY_EVERY_S

    def _publish(self, link: Link, messages: Sequence[Outgoing]) -> None:
        for message in messages:
            link.publish(message)
