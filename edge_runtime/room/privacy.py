"""Privacy as a stage of the flow: the only way from a window to something that may leave the device.

* Fewer than `min_group` readable people: the window says that it is suppressed, and nothing else about them.
* Shares are rounded to 0.05 so that they still sum to 1; valence, arousal and confidence likewise to 0.05.
* Counts are banded: 0, fewer than the group, then steps of five.
* Each zone is suppressed by itself. And since the room's numbers are told too, what a zone tells must not leave
  fewer than `min_group` people over: if some zone is too small, the smallest of the others is suppressed with it.
* The teacher is one person: told only by written agreement or in simulation, and never part of the room's shares.
* The index is made from the numbers that are published, so that it tells nothing which they do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from edge_runtime.room.context import reading_in
from edge_runtime.room.index import balance, classroom_activity, grade_of
from edge_runtime.room.window import Band, ProtectedWindow, ProtectedZone, RoomWindow, ZoneReading

SHARE_UNITS: Final = 20  # shares are multiples of 1/20
BAND_STEP: Final = 5


class LabelReading(Protocol):
    """What of a bundle's label this stage needs."""

    @property
    def name(self) -> str:
        """Of the class."""
        ...

    @property
    def reading(self) -> str:
        """Reading for learning, P1 §4."""
        ...

    @property
    def polarity(self) -> int:
        """−1, 0 or 1."""
        ...


def protect(
    window: RoomWindow, labels: Sequence[LabelReading], min_group: int, *, tells_teacher: bool = False
) -> ProtectedWindow:
    """What of a window may leave.

    Args:
        window: exact.
        labels: of the bundle, in the order of `window.shares`.
        min_group: smallest number of readable people whose shares are told; at least 1.
        tells_teacher: there is a written agreement, or it is a simulation (see `room.zoning.tells_teacher`).

    Raises:
        ValueError: `min_group` is below 1, or shares and labels differ in number.
    """
    if min_group < 1:
        raise ValueError(f"min_group is {min_group}, at least 1 is needed")
    if len(labels) != len(window.shares):
        raise ValueError(f"{len(window.shares)} shares, but {len(labels)} labels")
    silent = ProtectedWindow(
        start_s=window.start_s,
        end_s=window.end_s,
        is_partial=window.is_partial,
        frames=window.frames,
        suppressed=True,
        seen=band(window.seen, min_group),
        readable=band(window.readable, min_group),
        shares={},
        readings={},
        dominant=None,
        valence=None,
        arousal=None,
        confidence=None,
    )
    if window.readable < min_group:
        return silent
    units = largest_remainder(window.shares, SHARE_UNITS)
    readings: dict[str, float] = {}
    for label, count in zip(labels, units.tolist(), strict=True):
        reading = reading_in(window.context, label.reading)
        readings[reading] = round(readings.get(reading, 0.0) + count / SHARE_UNITS, 2)
    positive, negative = _activities(window.shares, labels)
    teacher = None
    if tells_teacher and window.teacher_shares is not None:
        teacher = _rounded(balance(*_activities(window.teacher_shares, labels)))
    activity = _rounded(classroom_activity(positive, negative, teacher))
    return replace(
        silent,
        suppressed=False,
        shares={label.name: count / SHARE_UNITS for label, count in zip(labels, units.tolist(), strict=True)},
        readings=readings,
        dominant=labels[int(window.shares.argmax())].name,
        valence=_rounded(window.valence),
        arousal=_rounded(window.arousal),
        confidence=_rounded(window.confidence),
        context=window.context,
        context_prior=None if window.context is None else window.context_prior,
        positive_activity=positive,
        negative_activity=negative,
        classroom_activity=activity,
        grade=grade_of(activity),
        teacher_activity=teacher,
        intensity=_rounded(window.intensity),
        dominance=None if window.dominance is None else _rounded(window.dominance),
        zones=_protect_zones(window.zones, labels, min_group),
    )


def _protect_zones(
    zones: Mapping[str, ZoneReading], labels: Sequence[LabelReading], min_group: int
) -> dict[str, ProtectedZone]:
    told = {name for name, zone in zones.items() if zone.readable >= min_group}
    if told and any(0 < zone.readable < min_group for zone in zones.values()):
        told.remove(min(told, key=lambda name: zones[name].readable))
    return {
        name: _protect_zone(zone, labels, band(zone.readable, min_group), is_told=name in told)
        for name, zone in zones.items()
    }


def _protect_zone(
    zone: ZoneReading, labels: Sequence[LabelReading], readable: Band, *, is_told: bool
) -> ProtectedZone:
    if not is_told:
        return ProtectedZone(suppressed=True, readable=readable)
    positive, negative = _activities(zone.shares, labels)
    return ProtectedZone(
        suppressed=False,
        readable=readable,
        positive_activity=positive,
        negative_activity=negative,
        valence=_rounded(zone.valence),
        arousal=_rounded(zone.arousal),
    )


def _activities(shares: npt.NDArray[np.float64], labels: Sequence[LabelReading]) -> tuple[float, float]:
    """Positive and negative activity: sums of the rounded shares by polarity."""
    units = largest_remainder(shares, SHARE_UNITS)
    polarity = np.array([label.polarity for label in labels])
    return int(units[polarity > 0].sum()) / SHARE_UNITS, int(units[polarity < 0].sum()) / SHARE_UNITS


def band(count: int, min_group: int) -> Band:
    """The band that a count is told as: 0, [1, min_group − 1], then steps of five from min_group on."""
    if count <= 0:
        return Band(0, 0)
    if count < min_group:
        return Band(1, min_group - 1)
    low = min_group + (count - min_group) // BAND_STEP * BAND_STEP
    return Band(low, low + BAND_STEP - 1)


def largest_remainder(shares: npt.NDArray[np.float64], units: int) -> npt.NDArray[np.int64]:
    """Rounds shares to whole units that sum to `units` (Hamilton's method), ties to the earlier label."""
    exact = shares / shares.sum() * units
    whole: npt.NDArray[np.int64] = np.floor(exact).astype(np.int64)
    short = units - int(whole.sum())
    whole[np.argsort(-(exact - whole), kind="stable")[:short]] += 1
    return whole


def _rounded(value: float) -> float:
    return round(round(value * SHARE_UNITS) / SHARE_UNITS, 2) + 0.0  # + 0.0: no −0.0 in an event
