"""Episodes: a share that stays at its threshold over several windows is one thing that lasted, with one id.

    tracker = EpisodeTracker({"negative_activity": 0.5}, windows=3, gap_windows=1, window_s=60)
    for step in tracker.observe(protected):  # new, update, end
        outlet.emit_episode(step, ...)

It sees windows after the privacy stage and no others, so an episode tells nothing that its windows do not.
So many full windows in a row begin it (its minimum duration), each further one updates it, and a gap that is no
longer than `gap_windows` does not end it. A suppressed window tells nothing, hence is a gap; so is time without
windows, as when the camera is away. Whatever ends the run of windows (the shutter, the end of a film, a clean
stop) ends all episodes at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from edge_runtime.errors import ConfigurationError, Fault
from edge_runtime.room.context import READING
from edge_runtime.room.window import ProtectedWindow

Phase = Literal["new", "update", "end"]
ACTIVITY_KINDS: Final = ("positive_activity", "negative_activity")


class NamedReading(Protocol):
    """What of a bundle's label this stage needs."""

    @property
    def name(self) -> str:
        """Of the class."""
        ...

    @property
    def reading(self) -> str:
        """Reading for learning."""
        ...


@dataclass(frozen=True, slots=True)
class EpisodeStep:
    """What happened to the episode of one kind; there is never more than one of a kind.

    Attributes:
        phase: it began, went on, or is over.
        kind: whose share it is.
        start_s: of its first window, on the capture clock.
        duration_s: to the end of its last window at the threshold.
        windows: at the threshold, so far.
        share: in the latest of them.
        peak_share: largest of them.
        threshold: from which on a window counts.
    """

    phase: Phase
    kind: str
    start_s: float
    duration_s: float
    windows: int
    share: float
    peak_share: float
    threshold: float


def check_kinds(kinds: Iterable[str], labels: Sequence[NamedReading]) -> None:
    """Refuses kinds that no window of this bundle can ever tell.

    Raises:
        ConfigurationError: naming all of them, and what there is.
    """
    told_in_context = {told for table in READING.values() for told in table.values()}
    readings = {label.reading for label in labels} | told_in_context
    known = sorted({*ACTIVITY_KINDS, *(label.name for label in labels), *readings})
    faults = [
        Fault(
            f"episodes.thresholds.{kind}", f"is nothing that the bundle tells; there are {', '.join(known)}"
        )
        for kind in kinds
        if kind not in known
    ]
    if faults:
        raise ConfigurationError("configuration", faults)


@dataclass(slots=True)
class _Run:
    """Windows at the threshold; an episode once there are enough of them."""

    start_s: float
    end_s: float
    windows: int
    share: float
    peak_share: float
    is_told: bool = False

    def extend(self, window: ProtectedWindow, share: float) -> None:
        self.end_s = window.end_s
        self.windows += 1
        self.share, self.peak_share = share, max(self.peak_share, share)


class EpisodeTracker:
    """Follows the episodes of one room.

    Args:
        thresholds: kind → share from which on a window counts.
        windows: in a row, to begin one.
        gap_windows: that do not end one.
        window_s: length of a full window.
    """

    def __init__(
        self, thresholds: Mapping[str, float], *, windows: int, gap_windows: int, window_s: float
    ) -> None:
        self._thresholds = dict(thresholds)
        self._windows, self._gap_s, self._window_s = windows, gap_windows * window_s, window_s
        self._runs: dict[str, _Run] = {}

    def observe(self, window: ProtectedWindow) -> list[EpisodeStep]:
        """Takes the next window.

        Args:
            window: not before the one before; a partial one may go on with an episode, but begins none.
        """
        return [step for kind in self._thresholds for step in self._observe(kind, window)]

    def end(self) -> list[EpisodeStep]:
        """No window follows on the last one: all episodes are over."""
        return [step for kind in tuple(self._runs) for step in self._finish(kind)]

    def _observe(self, kind: str, window: ProtectedWindow) -> list[EpisodeStep]:
        steps = []
        share = _share_of(window, kind)
        counts = share is not None and share >= self._thresholds[kind] - 1e-9
        run = self._runs.get(kind)
        if run is not None and self._is_broken(run, window.start_s if counts else window.end_s):
            steps += self._finish(kind)
            run = None
        if share is None or not counts:
            return steps
        if run is not None:
            run.extend(window, share)
        elif not window.is_partial:
            run = self._runs[kind] = _Run(window.start_s, window.end_s, 1, share, share)
        if run is not None and run.is_told:
            steps.append(self._step("update", kind, run))
        elif run is not None and run.windows >= self._windows and not window.is_partial:
            run.is_told = True
            steps.append(self._step("new", kind, run))
        return steps

    def _is_broken(self, run: _Run, until_s: float) -> bool:
        """Whether too long a time passed after the run's last window; what is not told yet allows no gap."""
        allowed_s = self._gap_s if run.is_told else 0.0
        return until_s - run.end_s > allowed_s + self._window_s / 2

    def _finish(self, kind: str) -> list[EpisodeStep]:
        run = self._runs.pop(kind)
        return [self._step("end", kind, run)] if run.is_told else []

    def _step(self, phase: Phase, kind: str, run: _Run) -> EpisodeStep:
        return EpisodeStep(
            phase=phase,
            kind=kind,
            start_s=run.start_s,
            duration_s=run.end_s - run.start_s,
            windows=run.windows,
            share=run.share,
            peak_share=run.peak_share,
            threshold=self._thresholds[kind],
        )


def _share_of(window: ProtectedWindow, kind: str) -> float | None:
    """None when the window tells nothing; a reading that is not among its readings has a share of 0."""
    if window.suppressed:
        return None
    if kind in ACTIVITY_KINDS:
        return window.positive_activity if kind == ACTIVITY_KINDS[0] else window.negative_activity
    return window.shares.get(kind, window.readings.get(kind, 0.0))
