"""Privacy as a stage of the flow: the only way from a window to something that may leave the device.

* Fewer than `min_group` readable people: the window says that it is suppressed, and nothing else about them.
* Shares are rounded to 0.05 so that they still sum to 1; valence, arousal and confidence likewise to 0.05.
* Counts are banded: 0, fewer than the group, then steps of five.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from edge_runtime.room.window import Band, ProtectedWindow, RoomWindow

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


def protect(window: RoomWindow, labels: Sequence[LabelReading], min_group: int) -> ProtectedWindow:
    """What of a window may leave.

    Args:
        window: exact.
        labels: of the bundle, in the order of `window.shares`.
        min_group: smallest number of readable people whose shares are told; at least 1.

    Raises:
        ValueError: `min_group` is below 1, or shares and labels differ in number.
    """
    if min_group < 1:
        raise ValueError(f"min_group is {min_group}, at least 1 is needed")
    if len(labels) != len(window.shares):
        raise ValueError(f"{len(window.shares)} shares, but {len(labels)} labels")
    suppressed = window.readable < min_group
    shares: dict[str, float] = {}
    readings: dict[str, float] = {}
    if not suppressed:
        units = largest_remainder(window.shares, SHARE_UNITS)
        for label, count in zip(labels, units.tolist(), strict=True):
            shares[label.name] = count / SHARE_UNITS
            readings[label.reading] = round(readings.get(label.reading, 0.0) + count / SHARE_UNITS, 2)
    return ProtectedWindow(
        start_s=window.start_s,
        end_s=window.end_s,
        is_partial=window.is_partial,
        frames=window.frames,
        suppressed=suppressed,
        seen=band(window.seen, min_group),
        readable=band(window.readable, min_group),
        shares=shares,
        readings=readings,
        dominant=None if suppressed else labels[int(window.shares.argmax())].name,
        valence=None if suppressed else _rounded(window.valence),
        arousal=None if suppressed else _rounded(window.arousal),
        confidence=None if suppressed else _rounded(window.confidence),
    )


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
