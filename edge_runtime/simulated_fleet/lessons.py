"""A school day, and the tone of one room through it.

The timetable decides what the class does and how many are there. The tone is a softmax over the bundle's labels:
a base for each activity, a slow drift (an Ornstein–Uhlenbeck process, minutes long), now and then a spell of
frustration or of cheer, and tiredness towards the end of the day. None of it is measured on anybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from edge_runtime.room.window import RoomWindow
from edge_runtime.timetable import Activity, activity_at, parse_row

DAY_S: Final = 86_400.0
SCHOOL_BEGINS_S: Final = 8 * 3600.0
SCHOOL_LASTS_S: Final = 7 * 3600.0

_PLANS: Final[tuple[tuple[str, ...], ...]] = (
    ("lecture", "task", "discussion", "lecture", "task", "exam", "discussion"),
    ("task", "lecture", "lecture", "discussion", "task", "task", "lecture"),
    ("discussion", "lecture", "task", "exam", "lecture", "discussion", "task"),
)
# Seven lessons of 45 minutes; breaks of 10, a longer one at noon.
_STARTS_MIN: Final = (480, 535, 590, 645, 700, 785, 840)
_LESSON_MIN: Final = 45

_DRIFT_S: Final = 480.0  # time constant of the drift
_DRIFT: Final = 0.45  # its standard deviation, in logits
_SPELLS_PER_HOUR: Final = 0.8
_SPELL_S: Final = (150.0, 540.0)
_FPS: Final = 12.5

# Logits above `neutral` = 0, by what a label's name or polarity says.
_BASE: Final[Mapping[Activity, Mapping[int, float]]] = {
    "lecture": {1: -1.2, 0: -1.6, -1: -2.6},
    "task": {1: -1.5, 0: -1.8, -1: -1.9},
    "discussion": {1: -0.3, 0: -1.0, -1: -2.5},
    "exam": {1: -2.4, 0: -2.2, -1: -1.5},
    "break": {1: 0.2, 0: -1.2, -1: -2.6},
}
_NEUTRAL: Final = "neutral"


class Label(Protocol):
    """What of a bundle's label this module needs."""

    @property
    def name(self) -> str:
        """Of the class."""
        ...

    @property
    def polarity(self) -> int:
        """−1, 0 or 1."""
        ...

    @property
    def valence(self) -> float:
        """In [-1, 1]."""
        ...

    @property
    def arousal(self) -> float:
        """In [-1, 1]."""
        ...


class Lessons:
    """One room's days.

    Args:
        labels: of the bundle.
        rng: of this room.
        pupils: in the class; of fewer than the smallest group that may be published, nothing is told.
        always_open: lessons go on around the clock, so that a demo at night has something to show; else the
            room keeps school hours, Monday to Friday.
    """

    def __init__(
        self, labels: Sequence[Label], rng: np.random.Generator, *, pupils: int, always_open: bool
    ) -> None:
        self._labels, self._rng, self._pupils, self._always_open = labels, rng, pupils, always_open
        self._offset_s = float(rng.uniform(0, SCHOOL_LASTS_S)) if always_open else 0.0
        plan = _PLANS[int(rng.integers(len(_PLANS)))]
        rows = [
            f"mon-sun {_clock(start)}-{_clock(start + _LESSON_MIN)} {activity}"
            for start, activity in zip(_STARTS_MIN, plan, strict=True)
        ]
        rows += [
            f"mon-sun {_clock(end + _LESSON_MIN)}-{_clock(start)} break"
            for end, start in pairwise(_STARTS_MIN)
        ]
        self._rows = [parse_row(row) for row in rows]
        self._polarity = np.array([label.polarity for label in labels])
        self._valence = np.array([label.valence for label in labels])
        self._arousal = np.array([label.arousal for label in labels])
        self._is_neutral = np.array([label.name == _NEUTRAL for label in labels])
        self._taste = rng.normal(0, 0.35, len(labels))  # no two rooms are alike
        self._drift = rng.normal(0, _DRIFT, len(labels))
        self._spell_until_s, self._spell_polarity = 0.0, 1

    def activity(self, ts: float) -> Activity | None:
        """What the class does at a unix time; None outside of school hours."""
        return activity_at(self._rows, self._local(ts)) if self._is_school_day(ts) else None

    def window(self, ts: float, length_s: float, context: Activity | None) -> RoomWindow:
        """The window that ends at a unix time; asked for in order.

        Args:
            ts: unix time of its end, s.
            length_s: of the window.
            context: activity in force, as `activity` or an admin has it.
        """
        seen, readable = self._people(ts)
        shares = self._tone(ts, length_s, self.activity(ts) or "lecture")
        if readable == 0:
            shares = np.zeros(len(self._labels))
        return RoomWindow(
            start_s=ts - length_s,
            end_s=ts,
            is_partial=False,
            seen=seen,
            readable=readable,
            shares=shares,
            valence=float(shares @ self._valence),
            arousal=float(shares @ self._arousal),
            confidence=float(np.clip(self._rng.normal(0.66, 0.03), 0, 1)) if readable else 0.0,
            frames=round(length_s * _FPS),
            intensity=float(shares @ np.hypot(self._valence, self._arousal)) / np.sqrt(2),
            context=context,
        )

    def _people(self, ts: float) -> tuple[int, int]:
        activity = self.activity(ts)
        if activity is None:
            return 0, 0
        there = self._pupils if activity != "break" else int(self._rng.integers(0, 9))
        seen = max(0, there - int(self._rng.integers(0, 3)))
        return seen, int(self._rng.binomial(seen, 0.85))

    def _tone(self, ts: float, length_s: float, activity: Activity) -> npt.NDArray[np.float64]:
        keep = np.exp(-length_s / _DRIFT_S)
        noise = self._rng.normal(0, _DRIFT * np.sqrt(1 - keep**2), len(self._labels))
        self._drift = self._drift * keep + noise
        if ts > self._spell_until_s and self._rng.random() < _SPELLS_PER_HOUR * length_s / 3600:
            self._spell_until_s = ts + self._rng.uniform(*_SPELL_S)
            self._spell_polarity = 1 if self._rng.random() < 0.4 else -1
        base = _BASE[activity]
        logits = np.array([base[int(polarity)] for polarity in self._polarity]) + self._taste + self._drift
        if ts <= self._spell_until_s:
            logits += 1.9 * (self._polarity == self._spell_polarity)
        tiredness = (self._local(ts).hour - 8) / 7  # 0 in the morning, 1 in the afternoon
        logits -= 0.4 * tiredness * (self._polarity > 0)
        logits[self._is_neutral] = 0.3 + 0.3 * self._drift[self._is_neutral]
        weights: npt.NDArray[np.float64] = np.exp(logits - logits.max())
        weights /= weights.sum()
        return weights

    def _local(self, ts: float) -> datetime:
        """The time in the room's school."""
        if self._always_open:
            of_day_s = SCHOOL_BEGINS_S + (ts + self._offset_s) % SCHOOL_LASTS_S
            ts = ts // DAY_S * DAY_S + of_day_s
            return datetime.fromtimestamp(ts, UTC)
        return datetime.fromtimestamp(ts)

    def _is_school_day(self, ts: float) -> bool:
        return self._always_open or self._local(ts).weekday() < 5


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
