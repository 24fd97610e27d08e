"""When a board is too slow for its cameras: which rates fall, how far, and when they rise again.

    1. classification    a window averages the readings of a face; fewer of them cost the least
    2. scans             newcomers are noticed later
    3. following         the last, since a track that is followed too seldom breaks

A rate is halved, then quartered, but not below its floor, before the next one falls; they rise in reverse. All cameras
of a board fall together, so none is served at another's expense. If the floor is still too much, frames are lost as
they come: a camera hands over its newest frame and nothing else, so nothing piles up.

Only live sources are governed: a film that is read as fast as this machine can has no time to be late in.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

from edge_runtime.config import Config
from edge_runtime.pacing import Rates

_log = logging.getLogger(__name__)

ORDER: Final = ("classify_hz", "scan_hz", "follow_hz")  # in which rates fall
FLOOR: Final = Rates(classify_hz=0.5, scan_hz=0.5, follow_hz=5.0)
HIGH: Final = 0.9  # this load is too much
_ROOM: Final = 0.7  # below this a rate may be tried higher
_IDLE: Final = 0.5  # classification is not what keeps scans waiting, if the loop has so much time
_HALVINGS: Final = 2
_PERIOD_S: Final = 2.0
_PERIODS: Final = 2  # too much in so many periods on end: no mere hiccup
_PATIENCE_S: Final = 15.0  # before the first attempt to rise; doubled by each that failed ...
_MOST_PATIENCE_S: Final = 600.0  # ... up to this


@dataclass(frozen=True, slots=True)
class Load:
    """How busy one camera keeps the board; 1 is all the time.

    Attributes:
        loop: share of the time in which its loop did not wait for a frame.
        scan: time from the order of a scan to its result, over the interval between scans.
    """

    loop: float = 0.0
    scan: float = 0.0

    @property
    def highest(self) -> float:
        """The larger of both."""
        return max(self.loop, self.scan)


class Governor:
    """Holds the rates of all cameras of a board; each camera's loop comes by in its own thread.

    Args:
        now_s: a clock that never steps, s.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self.now_s = now_s
        self._lock = Lock()
        self._cameras: list[GovernedCamera] = []
        self._halvings: Mapping[str, int] = dict.fromkeys(ORDER, 0)
        self._judged_s = self._changed_s = now_s()
        self._periods_high = 0
        self._patience_s = _PATIENCE_S
        self._rose_s: float | None = None  # when a rate was tried higher, until that is known to hold

    def admit(self, config: Config) -> GovernedCamera:
        """Another camera works on this board, until it leaves."""
        camera = GovernedCamera(
            self,
            Rates(config.inference.classify_rate_hz, config.faces.scan_rate_hz, config.faces.follow_rate_hz),
        )
        with self._lock:
            self._cameras.append(camera)
        return camera

    def leave(self, camera: GovernedCamera) -> None:
        """It works here no more."""
        with self._lock:
            self._cameras.remove(camera)

    def halvings(self) -> Mapping[str, int]:
        """How often each rate is halved at present; judges the load first when a period is over."""
        with self._lock:
            now_s = self.now_s()
            if now_s - self._judged_s >= _PERIOD_S:
                self._judged_s = now_s
                self._judge(now_s)
            return self._halvings

    def _judge(self, now_s: float) -> None:
        loads = [camera.load for camera in self._cameras if camera.load is not None]
        loop, scan = (max((getattr(load, name) for load in loads), default=0.0) for name in ("loop", "scan"))
        is_high = max(loop, scan) >= HIGH
        self._periods_high = self._periods_high + 1 if is_high else 0
        if self._rose_s is not None and not is_high and now_s - self._rose_s >= self._patience_s:
            self._rose_s, self._patience_s = None, _PATIENCE_S  # it holds
        if self._periods_high >= _PERIODS:
            self._fall(now_s, loop, scan)
        elif self._is_known and loop < _ROOM and now_s - self._changed_s >= self._patience_s:
            self._rise(now_s, scan)

    @property
    def _is_known(self) -> bool:
        """Whether each camera that is at work has been measured at the present rates, and there is one."""
        at_work = [camera for camera in self._cameras if not camera.is_resting]
        return bool(at_work) and all(camera.load is not None for camera in at_work)

    def _fall(self, now_s: float, loop: float, scan: float) -> None:
        falling: tuple[str, ...] = ORDER
        if loop < HIGH:  # only the scans are late
            falling = ("scan_hz",) if loop < _IDLE else ("classify_hz", "scan_hz")
        name = next(filter(self._can_fall, falling), None)
        if name is None:
            return
        if self._rose_s is not None:
            self._rose_s, self._patience_s = None, min(2 * self._patience_s, _MOST_PATIENCE_S)
        self._change(name, +1, now_s)
        _log.warning(
            "the board is too slow (loop %.0f %%, scans %.0f %%): %s", 100 * loop, 100 * scan, self._told()
        )

    def _can_fall(self, name: str) -> bool:
        """Whether one more halving lowers this rate of any camera."""
        now = self._halvings
        then = {**now, name: now[name] + 1}
        return now[name] < _HALVINGS and any(
            lowered(camera.configured, then) != lowered(camera.configured, now) for camera in self._cameras
        )

    def _rise(self, now_s: float, scan: float) -> None:
        for name in reversed(ORDER):
            # Twice as many scans take twice the time; what the others take is only known by trying.
            if self._halvings[name] and not (name == "scan_hz" and 2 * scan >= HIGH):
                self._rose_s = now_s
                self._change(name, -1, now_s)
                _log.info("the board has room again: %s", self._told())
                return

    def _change(self, name: str, halvings: int, now_s: float) -> None:
        self._halvings = {**self._halvings, name: self._halvings[name] + halvings}
        self._periods_high, self._changed_s = 0, now_s

    def _told(self) -> str:
        parts = (
            f"{name.removesuffix('_hz')} at 1/{2**count}" for name, count in self._halvings.items() if count
        )
        return ", ".join(parts) or "all rates as configured"


@dataclass(slots=True)
class GovernedCamera:
    """One camera's books; kept by its loop's thread.

    Attributes:
        governor: of the board.
        configured: rates.
        rates: in force.
        load: of the last full period at these rates; None where there is none yet.
        latest: of the last full period.
        is_resting: it asks nothing of the board: it is away, shut, or no live one.
    """

    governor: Governor
    configured: Rates
    rates: Rates = field(init=False)
    load: Load | None = None
    latest: Load = field(default_factory=Load)
    is_resting: bool = True
    _halvings: Mapping[str, int] | None = None
    _began_s: float | None = None
    _waited_s: float = 0.0
    _scans: int = 0
    _scans_took_s: float = 0.0

    def __post_init__(self) -> None:
        self.rates = self.configured

    @property
    def is_overloaded(self) -> bool:
        """Whether a rate is below the configured one, or even the lowest ones are too much."""
        return self.rates != self.configured or self.latest.highest >= HIGH

    def worked(self, *, waited_s: float, scans: int, scans_took_s: float) -> bool:
        """A live camera's loop took a turn.

        Args:
            waited_s: of that turn, for a frame.
            scans: finished so far, in all.
            scans_took_s: by them, in all.

        Returns:
            Whether `rates` are others now.
        """
        now_s = self.governor.now_s()
        self.is_resting = False
        self._waited_s += waited_s
        if self._began_s is None:
            self._begin_period(now_s, scans, scans_took_s)
        elif (lasted_s := now_s - self._began_s) >= _PERIOD_S:
            each_s = (scans_took_s - self._scans_took_s) / max(scans - self._scans, 1)
            busy = min(1.0, max(0.0, 1 - self._waited_s / lasted_s))
            self.load = self.latest = Load(busy, each_s * self.rates.scan_hz)
            self._begin_period(now_s, scans, scans_took_s)
        return self._follow()

    def rested(self) -> None:
        """It asks nothing of the board, as `is_resting` says."""
        self.is_resting = True
        self._began_s, self.load, self.latest = None, None, Load()

    def _begin_period(self, now_s: float, scans: int, scans_took_s: float) -> None:
        self._began_s, self._waited_s = now_s, 0.0
        self._scans, self._scans_took_s = scans, scans_took_s

    def _follow(self) -> bool:
        halvings = self.governor.halvings()
        if halvings is self._halvings:
            return False
        before, self._halvings = self.rates, halvings
        self.rates = lowered(self.configured, halvings)
        self._began_s, self.load = None, None  # what was measured was at other rates
        return self.rates != before


def lowered(configured: Rates, halvings: Mapping[str, int]) -> Rates:
    """Rates halved so often each, down to the floor; what is configured below its floor stays."""

    def one(name: str) -> float:
        rate: float = getattr(configured, name)
        floor: float = getattr(FLOOR, name)
        return max(rate / 2.0 ** halvings[name], min(rate, floor))

    return Rates(*map(one, ORDER))
