"""What the store gives back: windows as points of a chart, episodes, health, rooms.

A point is one window, or several in one: then its shares are their mean, each window weighted with its length.
Suppressed windows are counted and told apart; they weigh nothing, since they told nothing.

    merge([point, point, ...]).shares  # {"happy": 0.325, "neutral": 0.675}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

DECIMALS = 4  # of means; what goes in is in steps of 0.05


@dataclass(frozen=True, slots=True)
class WindowPoint:
    """One window, or the mean of several.

    Attributes:
        device: whose; of several devices in one point, the names joined by `+`.
        start_ts, ts: from where to where, unix s; `ts` is the (last) window's end by the device's clock.
        windows: how many windows are in this point, 1 or more.
        suppressed: how many of them told nothing but counts.
        seconds: length of the windows that told something, s.
        seen_min, seen_max, readable_min, readable_max: bands of counts; means of the ends for several windows.
        shares, readings: name → share in [0, 1]; empty when every window was suppressed.
        dominant: the label with the largest share.
        valence, arousal, dominance: in [-1, 1].
        confidence, intensity, positive_activity, negative_activity, classroom_activity, teacher_activity: in
            [0, 1].
        context, grade: the word; for several windows the one in force longest.
        partial: 1 when a single window was cut short.
        received_ts, clock, event_id: of a single window; None for several.
        more: further keys of a single window, as on the wire (`context_prior`, zones).
    """

    device: str
    start_ts: float
    ts: float
    windows: int
    suppressed: int
    seconds: float
    seen_min: float
    seen_max: float
    readable_min: float
    readable_max: float
    shares: Mapping[str, float] = field(default_factory=dict)
    readings: Mapping[str, float] = field(default_factory=dict)
    dominant: str | None = None
    valence: float | None = None
    arousal: float | None = None
    confidence: float | None = None
    positive_activity: float | None = None
    negative_activity: float | None = None
    classroom_activity: float | None = None
    teacher_activity: float | None = None
    intensity: float | None = None
    dominance: float | None = None
    context: str | None = None
    grade: str | None = None
    partial: int = 0
    received_ts: float | None = None
    clock: str | None = None
    event_id: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_private(self) -> bool:
        """Nothing was told: every window was suppressed."""
        return self.suppressed == self.windows

    def flat(self) -> dict[str, Any]:
        """For JSON and CSV: one level, keys as on the wire, nothing that is None."""
        out = {name: value for name in _SINGLE if (value := getattr(self, name)) is not None}
        out |= {f"share_{name}": share for name, share in self.shares.items()}
        out |= {f"reading_{name}": share for name, share in self.readings.items()}
        return {**out, **self.more}


# `dataclasses.asdict` copies deeply, which for a page of 600 points takes longer than reading them.
_SINGLE = tuple(f.name for f in fields(WindowPoint) if f.name not in ("shares", "readings", "more"))


MEANS = (
    "valence",
    "arousal",
    "confidence",
    "positive_activity",
    "negative_activity",
    "classroom_activity",
    "teacher_activity",
    "intensity",
    "dominance",
)
BANDS = ("seen_min", "seen_max", "readable_min", "readable_max")


def merge(points: Sequence[WindowPoint]) -> WindowPoint:
    """Several points as one.

    Args:
        points: at least one, in any order, of one device or of several.
    """
    told = [point for point in points if not point.is_private]
    windows = sum(point.windows for point in points)
    shares = _mean_by_name(told, lambda point: point.shares)
    means: dict[str, Any] = {name: _mean(told, name) for name in MEANS}
    for name in BANDS:
        means[name] = round(sum(getattr(point, name) * point.windows for point in points) / windows, 2)
    return WindowPoint(
        device="+".join(sorted({name for point in points for name in point.device.split("+")})),
        start_ts=min(point.start_ts for point in points),
        ts=max(point.ts for point in points),
        windows=windows,
        suppressed=sum(point.suppressed for point in points),
        seconds=round(sum(point.seconds for point in told), 3),
        shares=shares,
        readings=_mean_by_name(told, lambda point: point.readings),
        dominant=max(shares, key=lambda name: (shares[name], name)) if shares else None,
        context=_longest(points, "context"),
        grade=_longest(told, "grade"),
        **means,
    )


def thin(points: Sequence[WindowPoint], max_points: int) -> list[WindowPoint]:
    """Merges neighbours until at most `max_points` are left; a gap between them stays a gap.

    Args:
        points: by time.
        max_points: at least 1.
    """
    if len(points) <= max_points:
        return list(points)
    first = points[0].ts
    width = (points[-1].ts - first) / max_points * (1 + 1e-9) or 1.0
    bins: dict[int, list[WindowPoint]] = {}
    for point in points:
        bins.setdefault(min(int((point.ts - first) / width), max_points - 1), []).append(point)
    return [bin_[0] if len(bin_) == 1 else merge(bin_) for bin_ in bins.values()]


def _mean(points: Sequence[WindowPoint], name: str) -> float | None:
    total = weight = 0.0
    for point in points:
        if (value := getattr(point, name)) is not None:
            total += value * point.seconds
            weight += point.seconds
    return round(total / weight, DECIMALS) if weight else None


def _mean_by_name(
    points: Sequence[WindowPoint], of: Callable[[WindowPoint], Mapping[str, float]]
) -> dict[str, float]:
    total = sum(point.seconds for point in points)
    sums: dict[str, float] = {}
    for point in points:
        for name, share in of(point).items():
            sums[name] = sums.get(name, 0.0) + share * point.seconds
    return {name: round(value / total, DECIMALS) for name, value in sums.items()} if total else {}


def _longest(points: Sequence[WindowPoint], name: str) -> str | None:
    lasted: Counter[str] = Counter()
    for point in points:
        if (word := getattr(point, name)) is not None:
            lasted[word] += point.windows
    return lasted.most_common(1)[0][0] if lasted else None


@dataclass(frozen=True, slots=True)
class Episode:
    """An episode as its latest event tells it.

    Attributes:
        device, episode_id, kind: whose, which, and of what (`confusion`, `negative_activity`, …).
        phase: `new`, `update` or `end`.
        start_ts, end_ts: unix s; `end_ts` is None while it goes on.
        duration_s, windows: so far.
        share, peak_share, threshold: the latest, the largest, and the one that began it.
    """

    device: str
    episode_id: str
    kind: str
    phase: str
    start_ts: float
    end_ts: float | None
    duration_s: float
    windows: int
    share: float
    peak_share: float
    threshold: float


@dataclass(frozen=True, slots=True)
class StatsPoint:
    """A device's health at one time; totals count since its process began."""

    device: str
    ts: float
    received_ts: float
    health: str
    fps: float
    dropped_frames: int
    outbox_rows: int
    outbox_dropped: int
    temperature_c: float | None
    rss_mb: float | None
    latencies_ms: Mapping[str, float]
    more: Mapping[str, Any]

    @property
    def clock_offset_s(self) -> float:
        """How far the device's clock is ahead of the collector's; stats do not wait on disk."""
        return self.ts - self.received_ts


@dataclass(frozen=True, slots=True)
class WordChange:
    """A device said another word than before on a topic.

    Attributes:
        device, leaf, word: who, where (`availability`, `enabled/state`, …), what.
        received_ts: unix s.
        is_retained: said before the collector listened.
    """

    device: str
    leaf: str
    word: str
    received_ts: float
    is_retained: bool


@dataclass(frozen=True, slots=True)
class DeviceSummary:
    """What is known of one device.

    Attributes:
        site, room, device: its place.
        first_seen_ts, last_seen_ts: first and last message of any kind, unix s.
        last_window_ts: end of the latest window; None before the first.
        words: what it last said in plain words, `{"availability": "online", …}`.
        info: its `info` payload as it came; empty before the first.
    """

    site: str
    room: str
    device: str
    first_seen_ts: float
    last_seen_ts: float
    last_window_ts: float | None
    words: Mapping[str, str]
    info: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RoomSummary:
    """A room and its devices, by name."""

    site: str
    room: str
    devices: tuple[DeviceSummary, ...]


@dataclass(frozen=True, slots=True)
class Completeness:
    """Whether a device's events came whole: its `seq` counts them without gaps, also over restarts.

    Attributes:
        site, room, device: whose.
        events: windows and episode events in the store.
        missing: numbers between the first and the last that are not there.
        conflicts: events whose id another event had already.
    """

    site: str
    room: str
    device: str
    events: int
    missing: int
    conflicts: int
