"""What is wrong with a device, in a sentence, and what to do about it.

    diagnose(device, now_s).text  # "The camera gives no frames."

Of several faults the one is told that explains the others or that an admin would mend first: a device that is
offline has stale stats, and nobody minds them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from edge_runtime.config import HOT_C
from edge_runtime.dashboard.device import Device
from edge_runtime.dashboard.words import duration, say
from edge_runtime.publishing.payloads import EmotionEvent, Stats

Level = Literal["fault", "warning", "note", "ok"]

WRONG_CLOCK_S: Final = 60.0
OVERDUE_WINDOWS: Final = 3  # so long a room may be silent
OVERDUE_GRACE_S: Final = 15.0  # and a little for the way of the message
STATS_OVERDUE_S: Final = 300.0
WAITING_ROWS: Final = 5  # a device in touch with its broker has none or one
REOPENINGS_PER_HOUR: Final = 3.0
REOPENINGS_AT_LEAST: Final = 5
_NOT_WORK: Final = ("frame", "capture", "scan_wait")  # the sum of the stages, and two waits


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to tell about a device.

    Attributes:
        code: which of the faults, a stable word.
        level: `fault`: it measures nothing, or loses what it measures; `warning`: it measures, with a flaw;
            `note`: by intention or by the rules of privacy; `ok`.
        text: the sentence.
        hint: what to do; empty when nothing is to be done.
    """

    code: str
    level: Level
    text: str
    hint: str = ""

    def record(self) -> dict[str, str]:
        """As the page gets it."""
        return {"code": self.code, "level": self.level, "text": self.text, "hint": self.hint}


def diagnose(device: Device, now_s: float) -> Verdict:
    """Judges a device by what it said, and when.

    Args:
        device: all that is known.
        now_s: unix time by the clock that `device` was filled with.
    """
    return next(verdict for check in _CHECKS for verdict in check(device, now_s))


def _verdict(level: Level, code: str, device: Device, **facts: object) -> Verdict:
    address = f"{device.site}/{device.room}/{device.name}"
    facts = {"device": device.name, "address": address} | facts
    return Verdict(code, level, say(f"verdict.{code}", **facts), say(f"hint.{code}", **facts))


def _connection(device: Device, now_s: float) -> Iterator[Verdict]:
    if device.is_online is False:
        yield _verdict("fault", "offline", device)
    if device.has_rival:
        yield _verdict("fault", "rival", device)
    if device.is_online is None and device.window is None and device.stats is None:
        yield _verdict("note", "unheard", device)


def _shutter(device: Device, now_s: float) -> Iterator[Verdict]:
    if device.is_enabled is False or (device.stats is not None and device.stats.health == "disabled"):
        yield _verdict("note", "disabled", device)


def _health(device: Device, now_s: float) -> Iterator[Verdict]:
    stats = device.stats
    health = stats.health if stats is not None else None
    if health == "camera_lost" or device.status.get("capture") == "offline":
        yield _verdict("fault", "camera_lost", device)
    if stats is not None and (health == "outbox_full" or device.status.get("outbox") == "offline"):
        yield _verdict("fault", "outbox_full", device, count=stats.outbox_dropped)
    if health == "broker_lost":
        yield _verdict("warning", "broker_lost", device)


def _clock(device: Device, now_s: float) -> Iterator[Verdict]:
    skew_s = device.skew_s or 0.0
    if abs(skew_s) >= WRONG_CLOCK_S:
        code = "clock_ahead" if skew_s > 0 else "clock_behind"
        yield _verdict("warning", code, device, span=duration(skew_s))


def _silence(device: Device, now_s: float) -> Iterator[Verdict]:
    age_s, window = device.age_s(now_s), device.window
    if window is not None and age_s is not None:
        length_s = device.info.window_s if device.info is not None else window.window_s
        if age_s > OVERDUE_WINDOWS * length_s + OVERDUE_GRACE_S:
            if device.is_online is None:
                yield _verdict("warning", "ghost", device)
            yield _verdict("fault", "silent", device, window=duration(length_s))
    if device.stats_received_s is not None and now_s - device.stats_received_s > STATS_OVERDUE_S:
        yield _verdict("warning", "no_stats", device)


def _strain(device: Device, now_s: float) -> Iterator[Verdict]:
    stats = device.stats
    if stats is None:
        return
    if stats.temperature_c is not None and stats.temperature_c >= HOT_C:
        yield _verdict("warning", "hot", device, degrees=f"{stats.temperature_c:.0f}")
    if stats.degraded_reason == "overload":
        yield _verdict(
            "warning",
            "slowed",
            device,
            classify=f"{stats.classify_rate_hz or 0:g}",
            scan=f"{stats.scan_rate_hz or 0:g}",
            load=f"{stats.load or 0:.0%}",
        )
    elif stats.health == "degraded" and stats.degraded_reason != "heat":
        stage, p95_ms = _slowest(stats)
        yield _verdict("warning", "overloaded", device, stage=stage, p95=f"{p95_ms:.0f}")
    if stats.outbox_rows >= WAITING_ROWS:
        span = duration(stats.outbox_oldest_s or 0.0)
        yield _verdict("warning", "waiting", device, count=stats.outbox_rows, span=span)
    hours = max(stats.uptime_s / 3600, 1.0)
    if stats.reconnects >= REOPENINGS_AT_LEAST and stats.reconnects / hours > REOPENINGS_PER_HOUR:
        yield _verdict(
            "warning", "camera_unsteady", device, count=stats.reconnects, span=duration(stats.uptime_s)
        )


def _room(device: Device, now_s: float) -> Iterator[Verdict]:
    window = device.window
    if window is None:
        yield _verdict("note", "no_window", device)
    elif window.seen_max == 0:
        yield _verdict("note", "nobody", device)
    elif window.suppressed:
        code = "unreadable" if window.seen_min >= window.min_group else "private"
        yield _verdict("note", code, device, **_people(window))


def _past(device: Device, now_s: float) -> Iterator[Verdict]:
    if device.stats is not None and device.stats.outbox_dropped:
        yield _verdict("note", "lost_before", device, count=device.stats.outbox_dropped)
    yield _verdict("ok", "ok", device)


_CHECKS: Final[tuple[Callable[[Device, float], Iterator[Verdict]], ...]] = (
    _connection,
    _shutter,
    _health,
    _silence,
    _clock,
    _strain,
    _room,
    _past,
)


def _slowest(stats: Stats) -> tuple[str, float]:
    p95 = {
        key.removesuffix("_p95_ms"): value
        for key, value in stats.latencies_ms.items()
        if key.endswith("_p95_ms") and key.removesuffix("_p95_ms") not in _NOT_WORK
    }
    return max(p95.items(), key=lambda item: item[1], default=("?", 0.0))


def _people(window: EmotionEvent) -> dict[str, Any]:
    seen = f"{window.seen_min}–{window.seen_max}" if window.seen_min != window.seen_max else window.seen_min
    return {"min_group": window.min_group, "seen": seen}
