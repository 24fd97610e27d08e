"""One device under the rules: messages and time in, alerts out.

Hysteresis keeps an alert from flickering. A share begins to alert after `windows` in a row at its threshold, and
is over after `leave_windows` in a row past `leave`. Latency and health begin after `minutes`, and are over with
two good stats in a row. A suppressed window tells nothing: it breaks a run towards an alert, and counts towards
the end of one, so that no alert begins or goes on with a room that may not be told of. So does a device that is
offline. Partial windows, old ones from an outbox, and such out of order count for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from edge_runtime.alerts.alert import Alert, AlertEvent, Phase
from edge_runtime.alerts.rules import Rule
from edge_runtime.publishing.payloads import EmotionEvent, Stats

STEP: Final = 0.05  # shares come in such steps; a threshold is left by at least one
LATE_S: Final = 15 * 60.0
SILENT_WINDOWS: Final = 4  # so many missing: the shutter is closed, or the camera is away
SILENT_S: Final = 180.0  # stats come each minute; three missing are silence, whatever a rule says
GOOD_STATS: Final = 2
LATENCY_LEAVE: Final = 0.9  # of the budget
_EPSILON: Final = 1e-9


@dataclass(frozen=True, slots=True)
class _Found:
    """What a condition says when it changes."""

    phase: Phase
    text: str
    since_ts: float
    value: float | None = None
    threshold: float | None = None


@dataclass(slots=True)
class Situation:
    """What is known of the device.

    Attributes:
        since_ts: first heard of, unix s.
        heard_ts: latest live message.
        offline_ts: it said `offline` then; None when it did not.
        clock_offset_s: its clock ahead of ours, by its stats.
        window_ts: end of the newest window.
    """

    since_ts: float
    heard_ts: float
    offline_ts: float | None = None
    clock_offset_s: float = 0.0
    window_ts: float = 0.0


@dataclass(slots=True)
class _Condition:
    rule: Rule
    firing_since_ts: float | None = None

    def window(self, event: EmotionEvent, now: float) -> _Found | None:
        return None

    def stats(self, stats: Stats, now: float) -> _Found | None:
        return None

    def tick(self, situation: Situation, now: float) -> _Found | None:
        return None

    def begin(self, text: str, since_ts: float, value: float | None = None) -> _Found:
        self.firing_since_ts = since_ts
        return _Found("new", text, since_ts, value, self.threshold)

    def end(self, text: str, value: float | None = None) -> _Found:
        since_ts, self.firing_since_ts = self.firing_since_ts or 0.0, None
        return _Found("end", text, since_ts, value, self.threshold)

    @property
    def threshold(self) -> float | None:
        return None


@dataclass(slots=True)
class _Share(_Condition):
    over: int = 0
    under: int = 0
    run_began_ts: float = 0.0
    told_until_ts: float = float("inf")

    @property
    def threshold(self) -> float | None:
        return self.rule.above if self.rule.above is not None else self.rule.below

    def window(self, event: EmotionEvent, now: float) -> _Found | None:
        self.told_until_ts = now + max(SILENT_WINDOWS * event.window_s, SILENT_S)
        value = None if event.suppressed else _value_of(event, self.rule.key)
        is_over = value is not None and self._is_over(value)
        is_past = value is None or self._is_past(value)
        if is_over and self.over == 0:
            self.run_began_ts = now - event.window_s
        self.over = self.over + 1 if is_over else 0
        self.under = self.under + 1 if is_past else 0
        if self.firing_since_ts is None and self.over >= self.rule.windows:
            side = "from" if self.rule.above is not None else "down from"
            told = f"{self.rule.key} is {value:g} after {self.over} windows {side} {self.threshold:g}"
            return self.begin(told, self.run_began_ts, value)
        if self.firing_since_ts is not None and self.under >= self.rule.leave_windows:
            return self.end(
                f"{self.rule.key} is {'not told any more' if value is None else f'{value:g} again'}", value
            )
        return None

    def tick(self, situation: Situation, now: float) -> _Found | None:
        if self.firing_since_ts is None:
            return None
        if situation.offline_ts is not None or now > self.told_until_ts:
            why = "no windows come" if situation.offline_ts is None else "the device is offline"
            self.over = self.under = 0
            return self.end(f"{self.rule.key} is not told any more: {why}")
        return None

    def _is_over(self, value: float) -> bool:
        if self.rule.above is not None:
            return value >= self.rule.above - _EPSILON
        return self.rule.below is not None and value <= self.rule.below + _EPSILON

    def _is_past(self, value: float) -> bool:
        if self.rule.above is not None:
            leave = self.rule.above - STEP if self.rule.leave is None else self.rule.leave
            return value <= leave + _EPSILON
        leave = (self.rule.below or 0.0) + STEP if self.rule.leave is None else self.rule.leave
        return value >= leave - _EPSILON


@dataclass(slots=True)
class _Lasting(_Condition):
    """Alerts after so many minutes of bad stats; ends with good ones, or with the device offline."""

    bad_since_ts: float | None = None
    good: int = 0

    def judge(
        self, is_bad: bool, is_good: bool, now: float, bad: str, good: str, value: float | None
    ) -> _Found | None:
        if is_bad:
            self.good = 0
            self.bad_since_ts = now if self.bad_since_ts is None else self.bad_since_ts
        elif is_good:
            self.good += 1
        if self.good >= GOOD_STATS:
            self.bad_since_ts = None
            if self.firing_since_ts is not None:
                return self.end(good, value)
        since_ts = self.bad_since_ts
        if self.firing_since_ts is None and is_bad and since_ts is not None:
            lasted_s = now - since_ts
            if lasted_s >= self.rule.minutes * 60 - _EPSILON:
                return self.begin(f"{bad} for {_minutes(lasted_s)}", since_ts, value)
        return None

    def tick(self, situation: Situation, now: float) -> _Found | None:
        if situation.offline_ts is not None or now - situation.heard_ts > LATE_S:
            self.bad_since_ts, self.good = None, 0
            if self.firing_since_ts is not None:
                why = "is silent" if situation.offline_ts is None else "is offline"
                return self.end(f"not known any more: the device {why}")
        return None


@dataclass(slots=True)
class _Latency(_Lasting):
    @property
    def threshold(self) -> float | None:
        return self.rule.budget_ms

    def stats(self, stats: Stats, now: float) -> _Found | None:
        budget_ms = self.rule.budget_ms
        p95_ms = stats.latencies_ms.get(f"{self.rule.stage}_p95_ms")
        if p95_ms is None or budget_ms is None:
            return None
        told = f"{self.rule.stage} takes {p95_ms:.1f} ms (p95)"
        is_bad, is_good = p95_ms > budget_ms, p95_ms <= budget_ms * LATENCY_LEAVE
        return self.judge(is_bad, is_good, now, f"{told}, more than {budget_ms:g} ms", told, p95_ms)


@dataclass(slots=True)
class _Health(_Lasting):
    def stats(self, stats: Stats, now: float) -> _Found | None:
        is_bad = stats.health in self.rule.words if self.rule.words else stats.health != "ok"
        told = f"its health is {stats.health}"
        return self.judge(is_bad, not is_bad, now, told, told, None)


@dataclass(slots=True)
class _Offline(_Condition):
    def tick(self, situation: Situation, now: float) -> _Found | None:
        is_offline = situation.offline_ts is not None
        since_ts = situation.heard_ts if situation.offline_ts is None else situation.offline_ts
        patience_s = self.rule.minutes * 60 if is_offline else max(self.rule.minutes * 60, SILENT_S)
        lasted_s = now - since_ts
        if self.firing_since_ts is None and lasted_s >= patience_s:
            word = "offline" if is_offline else "silent, though the broker thinks it is online,"
            return self.begin(f"it is {word} for {_minutes(lasted_s)}", since_ts)
        if self.firing_since_ts is not None and not is_offline and lasted_s < patience_s:
            return self.end(f"it is back after {_minutes(now - self.firing_since_ts)}")
        return None


_KINDS: Final[Mapping[str, type[_Condition]]] = {
    "share": _Share,
    "latency": _Latency,
    "health": _Health,
    "offline": _Offline,
}


@dataclass(slots=True)
class DeviceWatch:
    """See the module; used by one thread.

    Attributes:
        site, room, device: whose.
        situation: what is known of it.
        conditions: rule name → condition.
    """

    site: str
    room: str
    device: str
    situation: Situation
    conditions: dict[str, _Condition] = field(default_factory=dict)

    @classmethod
    def under(cls, rules: Sequence[Rule], site: str, room: str, device: str, now: float) -> DeviceWatch:
        """Watches a device under those of the rules that are for its room."""
        conditions = {rule.name: _KINDS[rule.kind](rule) for rule in rules if rule.watches(site, room)}
        return cls(site, room, device, Situation(now, now), conditions)

    def window(self, event: EmotionEvent, now: float) -> list[Alert]:
        """Takes a window as it came."""
        situation = self.situation
        situation.heard_ts = now
        is_old = now + situation.clock_offset_s - event.ts > LATE_S
        if event.partial or is_old or event.ts <= situation.window_ts:
            return []
        situation.window_ts = event.ts
        return self._collect(((c, c.window(event, now)) for c in self.conditions.values()), now)

    def stats(self, stats: Stats, now: float) -> list[Alert]:
        """Takes the device's health as it came."""
        self.situation.heard_ts = now
        self.situation.clock_offset_s = stats.ts - now
        return self._collect(((c, c.stats(stats, now)) for c in self.conditions.values()), now)

    def availability(self, word: str, now: float, *, is_retained: bool) -> list[Alert]:
        """Takes `online` or `offline`; a retained one was said at an unknown time, counted from now."""
        if word == "online":
            self.situation.offline_ts = None
            if not is_retained:
                self.situation.heard_ts = now
        elif self.situation.offline_ts is None:
            self.situation.offline_ts = now
        return self.tick(now)

    def tick(self, now: float) -> list[Alert]:
        """Lets time go by."""
        return self._collect(((c, c.tick(self.situation, now)) for c in self.conditions.values()), now)

    def restore(self, told: AlertEvent) -> bool:
        """Takes up an alert that was told before a restart.

        Returns:
            Whether there is still such a rule for this device.
        """
        condition = self.conditions.get(told.rule)
        if condition is None or condition.rule.kind != told.kind:
            return False
        if told.firing:
            condition.firing_since_ts = told.since_ts
            if isinstance(condition, _Share):
                condition.told_until_ts = self.situation.since_ts + LATE_S
            if told.kind == "offline" and self.situation.offline_ts is None:
                # It ends when it is heard, and not because we have just begun to listen.
                self.situation.heard_ts = min(self.situation.heard_ts, told.since_ts)
        return True

    def _collect(self, found: Iterable[tuple[_Condition, _Found | None]], now: float) -> list[Alert]:
        alerts = []
        for condition, change in found:
            if change is not None:
                where = f"{self.site}/{self.room} {self.device}"
                alerts.append(
                    Alert(
                        condition.rule,
                        self.site,
                        self.room,
                        self.device,
                        change.phase,
                        change.since_ts,
                        now,
                        f"{where}: {change.text}",
                        change.value,
                        change.threshold,
                    )
                )
        return alerts


def _value_of(event: EmotionEvent, key: str) -> float | None:
    for name, mapping in (("shares", event.shares), ("readings", event.readings)):
        prefix = event.FAMILIES[name].prefix
        if key.startswith(prefix):
            return mapping.get(key[len(prefix) :])
    value = getattr(event, key)
    return None if value is None else float(value)


def _minutes(duration_s: float) -> str:
    if duration_s < 90:
        return f"{duration_s:.0f} s"
    return f"{duration_s / 60:.0f} min" if duration_s < 5400 else f"{duration_s / 3600:.1f} h"
