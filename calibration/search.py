"""Rank and revert: everything in INT8 first; as long as the guard is not satisfied, the worst layers go back to float.

The choosing is done on one split and the verdict is spoken on another, or the search would flatter itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from calibration.guard import Verdict
from calibration.quantize import Recipe
from calibration.sensitivity import LayerSensitivity

_DEEPEST: Final = 0.5  # share of the layers in float from which on INT8 is no longer worth its name


class Quantizer(Protocol):
    """ONNX Runtime's or NNCF's."""

    def write(self, out: Path, recipe: Recipe) -> None:
        """Writes one variant."""
        ...


@dataclass(frozen=True, slots=True)
class Attempt:
    """One variant on the way: which layers were in float, and what the guard said on the choosing split."""

    recipe: Recipe
    verdict: Verdict


def search(
    quantizer: Quantizer,
    out: Path,
    ranking: Sequence[LayerSensitivity],
    judge_file: Callable[[Path], Verdict],
    *,
    saturation_safe: bool = False,
    on_attempt: Callable[[Attempt], None] = lambda attempt: None,
) -> list[Attempt]:
    """Writes variants to `out`, each with twice as many layers in float, until one passes or half of them are.

    Args:
        quantizer: of the float network.
        out: file to write; holds the last attempt's variant.
        ranking: worst layer first.
        judge_file: runs what is at `out` on the choosing split.
        saturation_safe: see `Recipe`.
        on_attempt: called with each attempt.

    Returns:
        The attempts; the last one passed, or else none did. The best of those by its bound is what can be reached.
    """
    attempts: list[Attempt] = []
    for count in _counts(len(ranking)):
        nodes = frozenset(row.layer.node for row in ranking[:count])
        recipe = Recipe(keep_float=nodes, saturation_safe=saturation_safe)
        quantizer.write(out, recipe)
        attempts.append(Attempt(recipe, judge_file(out)))
        on_attempt(attempts[-1])
        if attempts[-1].verdict.outcome != "fail":  # more layers in float make no more images
            break
    return attempts


def _counts(layers: int) -> list[int]:
    """0, 1, 2, 4, … and half of the layers at most."""
    deepest = int(_DEEPEST * layers)
    powers = itertools.takewhile(lambda count: count <= deepest, (2**n for n in itertools.count()))
    return [0, *powers]
