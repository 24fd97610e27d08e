"""Where a training run stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EpochResult:
    """One row of the learning curve.

    Attributes:
        epoch: 1-based.
        loss: mean over its steps.
        accuracy: on the choosing split, in [0, 1]; or what else a run is judged by, more being better.
        size_px: side of the crops that were trained and looked at.
    """

    epoch: int
    loss: float
    accuracy: float
    size_px: int


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands: steps done, the share of the run that is over (0 to 1), the last step's loss."""

    step: int
    share: float
    loss: float


class Watch:
    """Seconds that a run has taken, over all its resumptions."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._before, self._since = 0.0, clock()

    @property
    def seconds(self) -> float:
        """So far."""
        return self._before + self._clock() - self._since

    def go_on_from(self, seconds: float) -> None:
        """Counts on from what the run had taken when it was stopped."""
        self._before, self._since = seconds, self._clock()
