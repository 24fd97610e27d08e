"""Two reports of one device: what changed, and how sure that is.

A run is cut into up to 40 parts. The ratio of the median parts of two runs (of a stage the mean parts: it may be at
work in few of them) has an interval by the bootstrap over the parts (Efron 1979, percentile method, 95 %), and
something changed when all of it lies beyond the tolerance. Parts of one run know nothing of what differs from run to
run, such as another program on the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from edge_runtime.errors import BaselineError
from edge_runtime.json_documents import read_document
from edge_runtime.profiler.report import SCHEMA_ID

_DRAWS: Final = 2000
_LEAST_SHARE: Final = 0.01  # of the wall time, in one of both: smaller stages are not judged
_SAME_DEVICE: Final = ("model", "cpu", "architecture", "cores")
_SAME_WORK: Final = ("source", "detector", "scan_rate_hz", "follow_rate_hz", "classify_rate_hz")
_WHOLE: Final = "frame to frame"

Word = Literal["slower", "faster", "same"]


@dataclass(frozen=True, slots=True)
class Change:
    """One figure, now against then.

    Attributes:
        name: of the stage, or `frame to frame`.
        before_ms, now_ms: of a frame, median of the parts; of a stage their mean.
        ratio, low, high: now / before, and its interval.
        word: what that means.
    """

    name: str
    before_ms: float
    now_ms: float
    ratio: float
    low: float
    high: float
    word: Word


@dataclass(frozen=True, slots=True)
class Comparison:
    """All figures, the whole first.

    Attributes:
        changes: `frame to frame`, then the stages.
        differing: settings that are not the same in both, in words.
    """

    changes: list[Change]
    differing: list[str]

    @property
    def is_slower(self) -> bool:
        """Whether the whole is."""
        return self.changes[0].word == "slower"


def read_baseline(path: Path) -> dict[str, Any]:
    """Reads a report that `roomtone profile --json` wrote.

    Raises:
        BaselineError: it cannot be read, or is no report of this schema.
    """
    return read_document(path, SCHEMA_ID, BaselineError)


def compare(
    before: dict[str, Any], now: dict[str, Any], *, baseline: Path, tolerance: float = 0.05
) -> Comparison:
    """Compares two reports as JSON documents.

    Args:
        before: the baseline.
        now: the present one.
        baseline: where the first is from, for messages.
        tolerance: a change smaller than this is none.

    Raises:
        BaselineError: it is of another device or of other work, or lacks what a report has.
    """
    try:
        for kind, keys in (("device", _SAME_DEVICE), ("what", _SAME_WORK)):
            for key in keys:
                then, here = before[kind][key], now[kind][key]
                if key == "source":  # wherever the film lies
                    then, here = then.rpartition("/")[2], here.rpartition("/")[2]
                if then != here:
                    raise BaselineError(baseline, f"was made with {key} = {then!r}, here it is {here!r}")
        rng = np.random.default_rng(0)
        blocks = before["frame_blocks_ms"], now["frame_blocks_ms"]
        changes = [_change(_WHOLE, *blocks, np.median, tolerance, rng)]
        known_stages = {stage["stage"]: stage for stage in before["stages"] if not stage["is_waiting"]}
        for stage in now["stages"]:
            known = known_stages.get(stage["stage"])
            if known and max(known["wall_share"], stage["wall_share"]) >= _LEAST_SHARE:
                blocks = known["blocks_ms"], stage["blocks_ms"]
                changes.append(_change(stage["stage"], *blocks, np.mean, tolerance, rng))
        differing = [
            f"{key}: {before['what'].get(key)} → {value}"
            for key, value in now["what"].items()
            if key != "source" and before["what"].get(key) != value
        ]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as exc:
        raise BaselineError(baseline, f"is damaged: {exc!r}") from exc
    return Comparison(changes, differing)


def _change(
    name: str,
    before: Sequence[float],
    now: Sequence[float],
    middle: Callable[..., Any],
    tolerance: float,
    rng: np.random.Generator,
) -> Change:
    middle_before, middle_now = float(middle(before)), float(middle(now))
    draws = [
        middle(rng.choice(values, (_DRAWS, len(values))), axis=1)
        for values in (np.asarray(now, np.float64), np.asarray(before, np.float64))
    ]
    ratios = draws[0] / np.maximum(draws[1], 1e-6)
    low, high = (float(value) for value in np.percentile(ratios, [2.5, 97.5]))
    word: Word = "slower" if low > 1 + tolerance else "faster" if high < 1 - tolerance else "same"
    return Change(name, middle_before, middle_now, middle_now / max(middle_before, 1e-6), low, high, word)
