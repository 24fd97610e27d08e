"""What a quantization came to: every variant with its verdict and its times, and which of them a bundle offers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from calibration.evaluation import PreparedFaces
from calibration.guard import Limits, Verdict
from calibration.samples import CalibrationSet
from calibration.search import Attempt
from calibration.sensitivity import LayerSensitivity
from calibration.tool_defaults import is_default
from edge_runtime.bundle import Variant
from edge_runtime.inference.cpu import instruction_set
from edge_runtime.inference.engine import Logits
from edge_runtime.inference.speed import Speedup, Timing


@dataclass(frozen=True, slots=True)
class QuantizationSettings:
    """What is asked of INT8.

    Attributes:
        limits: of the guard.
        min_speedup: over the same engine's fastest float variant, at batch 8 and at batch 1.
        saturation_safe: weights of 7 bits, for CPUs whose 16-bit sums saturate.
        compare_defaults: also judges what each tool makes of the network with its own defaults.
    """

    limits: Limits = field(default_factory=Limits)
    min_speedup: float = 1.2
    saturation_safe: bool = False
    compare_defaults: bool = False


@dataclass(frozen=True, slots=True)
class VariantResult:
    """One variant.

    Attributes:
        variant: with what was measured.
        verdict: on the test split; None for the reference itself.
        timings: batch → milliseconds, round by round.
        attempts: of the search; empty for a float variant.
        logits: (N, K) of the test split.
        speedup: batch → against the reference.
        over_next: batch → against the next precision, the same engine's fastest float variant; empty for float.
        is_faster: INT8 beats the next precision by the stated factor; True for float.
    """

    variant: Variant
    verdict: Verdict | None
    timings: Mapping[int, Timing]
    attempts: tuple[Attempt, ...]
    logits: Logits
    speedup: Mapping[int, Speedup]
    over_next: Mapping[int, Speedup]
    is_faster: bool

    @property
    def name(self) -> str:
        """Backend and precision."""
        return variant_name(self.variant)

    @property
    def is_right(self) -> bool:
        """It is the reference, or the guard passed it."""
        return self.verdict is None or self.verdict.passed

    @property
    def is_offered(self) -> bool:
        """It is right, and ours: a tool's default is only measured."""
        return self.is_right and not is_default(self.variant)


@dataclass(frozen=True, slots=True)
class Quantization:
    """What came out.

    Attributes:
        results: all that was measured, offered ones first and best first.
        sensitivity: worst layer first.
        samples: the calibration set.
        settings: what was asked.
        tested: the split that the verdicts are spoken on.
        cpu: that was measured on.
        failures: default variants that cannot even be made or run, and why.
    """

    results: tuple[VariantResult, ...]
    sensitivity: tuple[LayerSensitivity, ...]
    samples: CalibrationSet
    settings: QuantizationSettings
    tested: PreparedFaces
    cpu: str
    failures: Mapping[str, str] = field(default_factory=dict)

    @property
    def offered(self) -> tuple[VariantResult, ...]:
        """What goes into the bundle, best first."""
        return tuple(result for result in self.results if result.is_offered)

    @property
    def has_int8(self) -> bool:
        """Whether any INT8 variant is right."""
        return any(result.variant.precision == "int8" for result in self.offered)

    @property
    def reference(self) -> VariantResult:
        """The float variant that all others are held against."""
        return next(result for result in self.results if result.verdict is None)

    def reachable(self) -> str:
        """For a failure: what the best attempt of each tool gave, in words."""
        lines = []
        for result in self.results:
            if result.attempts:
                best = min(result.attempts, key=lambda attempt: attempt.verdict.accuracy.upper)
                lines.append(f"{best.verdict} ({len(best.recipe.keep_float)} layers in float)")
        return "; ".join(lines)

    def to_json(self) -> dict[str, Any]:
        """As plain types."""
        return {
            "cpu": self.cpu,
            "instruction_set": instruction_set(),
            "min_speedup": self.settings.min_speedup,
            "saturation_safe": self.settings.saturation_safe,
            "calibration_set": self.samples.to_json(),
            "tested": self.tested.data,
            "variants": [_result_json(result) for result in self.results],
            "defaults_that_failed": dict(self.failures),
            "sensitivity_db": {
                row.layer.title: None if np.isinf(row.snr_db) else round(row.snr_db, 2)
                for row in self.sensitivity
            },
        }


def variant_name(variant: Variant) -> str:
    """For people and for reports."""
    name = f"{variant.backend} {variant.precision}"
    return f"{name}, defaults" if is_default(variant) else name


def _result_json(result: VariantResult) -> dict[str, Any]:
    return {
        "variant": result.name,
        "offered": result.is_offered,
        "is_faster": result.is_faster,
        "ms": {str(batch): round(timing.median_ms, 3) for batch, timing in result.timings.items()},
        "speedup_over_reference": _gains_json(result.speedup),
        "speedup_over_next_precision": _gains_json(result.over_next),
        "layers_in_float": sorted(result.attempts[-1].recipe.keep_float) if result.attempts else [],
        "attempts": [
            {"layers_in_float": len(attempt.recipe.keep_float), "verdict": str(attempt.verdict)}
            for attempt in result.attempts
        ],
        "guard": None if result.verdict is None else result.verdict.to_json(),
    }


def _gains_json(gains: Mapping[int, Speedup]) -> dict[str, dict[str, float]]:
    return {
        str(batch): {
            "median": round(gain.median, 3),
            "low_95": round(gain.low, 3),
            "high_95": round(gain.high, 3),
        }
        for batch, gain in gains.items()
    }
