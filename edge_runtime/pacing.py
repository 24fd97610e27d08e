"""A beat on the capture clock: when the next of something is due; and the rates of a camera's three beats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_EPSILON_S: Final = 1e-6  # frame times are sums of floats


@dataclass(frozen=True, slots=True)
class Rates:
    """How often a camera's frames are worked on, per second of video.

    Attributes:
        classify_hz: each face is classified.
        scan_hz: the whole frame is searched.
        follow_hz: tracks are followed; a frame in between repeats the last answer.
    """

    classify_hz: float
    scan_hz: float
    follow_hz: float


@dataclass(slots=True)
class Beat:
    """Keeps a rate although frames do not fall on it; begins afresh after a gap.

    Attributes:
        interval_s: between two strikes.
        due_s: time of the next one.
        phase: how much of the interval lies between the first strike and the second, (0, 1].
    """

    interval_s: float
    due_s: float = float("-inf")
    phase: float = 1.0

    def is_due(self, now_s: float) -> bool:
        """Whether the next look strikes."""
        return now_s + _EPSILON_S >= self.due_s

    def strikes(self, now_s: float) -> bool:
        """Whether it is due; if so, the next one is set."""
        if not self.is_due(now_s):
            return False
        if self.due_s == float("-inf"):
            self.due_s = now_s + self.phase * self.interval_s
        else:
            is_on_time = now_s - self.due_s < self.interval_s
            self.due_s = (self.due_s if is_on_time else now_s) + self.interval_s
        return True

    def change(self, interval_s: float) -> None:
        """Another rate from the last strike on."""
        self.due_s += interval_s - self.interval_s
        self.interval_s = interval_s

    def reset(self) -> None:
        """The next look strikes."""
        self.due_s = float("-inf")
