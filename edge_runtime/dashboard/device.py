"""What the dashboard knows of one device, and how the page is told about it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from edge_runtime.alerts.alert import AlertEvent
from edge_runtime.publishing.payloads import EmotionEvent, EpisodeEvent, Info, Stats

TREND_MINUTES: Final = 60
MAX_EPISODES: Final = 8
MAX_ALERTS: Final = 8
NOTABLE_SKEW_S: Final = 5.0  # below it, two clocks agree as far as a dashboard is concerned
# What every payload repeats from its topic, or what only a receiver of events needs.
_NOT_SHOWN: Final = frozenset({"schema", "site", "room", "device", "boot"})


class Trend:
    """The last hour of one value, a mean for each minute; windows may come late and in any order."""

    def __init__(self) -> None:
        self._minutes: OrderedDict[int, tuple[float, int]] = OrderedDict()

    def add(self, ts: float, value: float) -> None:
        """Takes a value of a window that ended at `ts`, unix time in s."""
        minute = int(ts // 60)
        total, count = self._minutes.get(minute, (0.0, 0))
        self._minutes[minute] = (total + value, count + 1)
        if len(self._minutes) > TREND_MINUTES:
            del self._minutes[min(self._minutes)]

    def points(self, now_s: float) -> list[list[float]]:
        """Pairs of unix minute and mean, oldest first; none is older than an hour."""
        oldest = int(now_s // 60) - TREND_MINUTES
        return [
            [minute, round(total / count, 3)]
            for minute, (total, count) in sorted(self._minutes.items())
            if minute > oldest
        ]


@dataclass(slots=True)
class Device:
    """The latest of everything that one device said. Times are unix seconds by this server's clock.

    Attributes:
        site, room, name: from the topic.
        is_online: its `availability`; None until it is known.
        online_since_s: when that word came; None for a retained one, whose age nobody knows.
        window: the newest.
        stats, info: the latest.
        stats_received_s: when the stats came.
        status: role → online, offline or disabled.
        episodes: those that go on, by id.
        alerts: those that last, by the name of their rule.
        context: activity in force; None until it is known.
        is_enabled: the privacy shutter is open; None until it is known.
        skew_s: how far its clock is ahead of this server's; None until it is known.
        has_rival: two devices speak under this name.
        trend: classroom activity of the last hour, or valence (0 to 1) where the device tells no activity.
        is_forgotten: its retained topics were cleared.
        revision: of the picture, when anything of it last changed.
    """

    site: str
    room: str
    name: str
    is_online: bool | None = None
    online_since_s: float | None = None
    window: EmotionEvent | None = None
    stats: Stats | None = None
    stats_received_s: float | None = None
    info: Info | None = None
    status: dict[str, str] = field(default_factory=dict)
    episodes: dict[str, EpisodeEvent] = field(default_factory=dict)
    alerts: dict[str, AlertEvent] = field(default_factory=dict)
    context: str | None = None
    is_enabled: bool | None = None
    skew_s: float | None = None
    has_rival: bool = False
    trend: Trend = field(default_factory=Trend)
    is_forgotten: bool = False
    revision: int = 0
    _boots: tuple[int, ...] = ()
    _latest_payload: bytes = b""
    _parts: dict[str, tuple[int, Any]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """`site/room/device`, by which the page knows it."""
        return f"{self.site}/{self.room}/{self.name}"

    def is_repetition(self, payload: bytes) -> bool:
        """Whether this window came just before, as each does: once on `emotion` and once on `state`."""
        is_same, self._latest_payload = payload == self._latest_payload, payload
        return is_same

    def take_window(self, event: EmotionEvent, *, now_s: float) -> bool:
        """Takes a window.

        Returns:
            Whether it is the newest. The numbers decide, not the clock: a device whose clock is set back goes
            on counting, and windows that an outbox sends late have low numbers.
        """
        self._watch_boots(event)
        if not event.suppressed:
            self.trend.add(event.ts - (self.skew_s or 0.0), trend_value(event))
        newest = self.window
        if newest is not None and event.ts <= newest.ts and (event.boot, event.seq) <= _number(newest):
            return False
        self.window = event
        if event.ts > now_s + 60:
            self.skew_s = max(self.skew_s or 0.0, event.ts - now_s)
        return True

    def take_stats(self, stats: Stats, *, now_s: float) -> None:
        """Takes its health, which is sent the moment it is made: what its `ts` is off, its clock is off."""
        self.stats, self.stats_received_s = stats, now_s
        skew_s = stats.ts - now_s
        self.skew_s = skew_s if abs(skew_s) >= NOTABLE_SKEW_S else 0.0

    def take_episode(self, step: EpisodeEvent) -> None:
        """Takes a step of an episode; the latest few that have not ended are kept."""
        known = self.episodes.pop(step.episode_id, None)
        if step.phase != "end" and (known is None or _number(known) < _number(step)):
            self.episodes[step.episode_id] = step
            if len(self.episodes) > MAX_EPISODES:
                del self.episodes[next(iter(self.episodes))]

    def take_alert(self, alert: AlertEvent) -> None:
        """Takes the state of an alert about this device."""
        self.alerts.pop(alert.rule, None)
        if alert.phase == "new" and len(self.alerts) < MAX_ALERTS:
            self.alerts[alert.rule] = alert

    def age_s(self, now_s: float) -> float | None:
        """Time since the newest window's end, by its own clock set right."""
        if self.window is None:
            return None
        return max(0.0, now_s - (self.window.ts - (self.skew_s or 0.0)))

    def put(self, part: str, value: Any, revision: int) -> None:
        """Notes a part of what the page is told, if it is another than before."""
        known = self._parts.get(part)
        if known is None or known[1] != value:
            self._parts[part] = (revision, value)
            self.revision = revision

    def record(self, since: int = 0) -> dict[str, Any]:
        """What the page does not know yet, having seen revision `since`."""
        if self.is_forgotten:
            return {"key": self.key, "gone": True}
        parts = {name: value for name, (revision, value) in self._parts.items() if revision > since}
        return {"key": self.key, "site": self.site, "room": self.room, "device": self.name, **parts}

    def _watch_boots(self, event: EmotionEvent) -> None:
        """One device runs through boots 1, 2, 3; two of one name alternate: 7, 9, 7."""
        if self._boots and event.boot == self._boots[-1]:
            return
        is_newer = self.window is None or event.ts > self.window.ts
        if is_newer and event.boot in self._boots:
            self.has_rival = True
        if is_newer:
            self._boots = (*self._boots, event.boot)[-2:]


def _number(event: EmotionEvent | EpisodeEvent) -> tuple[int, int]:
    return event.boot, event.seq


class _Measured(Protocol):
    """What windows of the wire and points of the history have in common."""

    @property
    def valence(self) -> float | None: ...
    @property
    def classroom_activity(self) -> float | None: ...


def trend_value(window: _Measured) -> float:
    """Classroom activity, or valence brought to 0 to 1 where the device tells no activity."""
    if window.classroom_activity is not None:
        return window.classroom_activity
    return ((window.valence or 0.0) + 1) / 2


def shown(payload: AlertEvent | EmotionEvent | EpisodeEvent | Info | Stats) -> dict[str, Any]:
    """A payload's keys, without those that are the topic's."""
    return {key: value for key, value in payload.flat().items() if key not in _NOT_SHOWN}
