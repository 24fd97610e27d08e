"""The guard: may this quantized variant stand in for the reference? A paired comparison, image by image.

Both variants have seen the same held-out crops through the device's own preprocessing and engine. The guard passes
when the one-sided 95 % bound of the accuracy drop is below `max_drop` and no class loses more than `max_class_drop`.
It does not guess: where the images are too few to tell, it says how many it needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from calibration.metrics import Labels, Metrics, measure
from calibration.paired import PairedDrop, least_images, paired_drop
from edge_runtime.errors import RoomtoneError
from edge_runtime.inference.classifier import softmax
from edge_runtime.inference.engine import Logits

Outcome = Literal["pass", "fail", "undecided"]
_POINTS: Final = 100


class QuantizationGuardError(RoomtoneError):
    """No INT8 variant passed the guard, or the guard could not judge."""

    exit_code = 23


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be lost, in shares: the bound of the accuracy, and the recall of any one class."""

    max_drop: float = 0.01
    max_class_drop: float = 0.03

    def __post_init__(self) -> None:
        if not (0 < self.max_drop < 1 and 0 < self.max_class_drop < 1):
            raise ValueError(f"limits must be between 0 and 1: {self.max_drop}, {self.max_class_drop}")


@dataclass(frozen=True, slots=True)
class ClassVerdict:
    """One class: its recall drop, and whether that is acceptable.

    A class with fewer images than any statement about the limit needs fails only by a loss beyond chance.
    """

    name: str
    recall: PairedDrop
    is_judgeable: bool
    is_lost: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the guard says of one variant.

    Attributes:
        variant: backend and precision.
        outcome: `undecided` where the images are too few.
        reasons: why it is no `pass`, in words; empty when it is.
        accuracy: paired drop over all images.
        classes: that have images, in the order of the labels.
        agreement: share of the images on which both choose the same class.
        snr_db: power of the reference's logits over that of their difference, dB; inf where there is none.
        before, after: quality of the reference and of the variant.
        images_needed: to decide; None where it is decided.
        limits: that were applied.
    """

    variant: str
    outcome: Outcome
    reasons: tuple[str, ...]
    accuracy: PairedDrop
    classes: tuple[ClassVerdict, ...]
    agreement: float
    snr_db: float
    before: Metrics
    after: Metrics
    images_needed: int | None
    limits: Limits

    @property
    def passed(self) -> bool:
        """Whether the variant may be used."""
        return self.outcome == "pass"

    def __str__(self) -> str:
        drop, upper = _POINTS * self.accuracy.drop, _POINTS * self.accuracy.upper
        text = (
            f"{self.variant}: {self.outcome}; accuracy {self.before.accuracy:.1%} → {self.after.accuracy:.1%}, "
            f"{drop:+.2f} points lost, below {upper:.2f} at 95 %; agreement {self.agreement:.1%}, "
            f"logits {self.snr_db:.1f} dB"
        )
        return "; ".join([text, *self.reasons])

    def to_json(self) -> dict[str, Any]:
        """As plain types."""
        return {
            "variant": self.variant,
            "outcome": self.outcome,
            "reasons": list(self.reasons),
            "max_drop": self.limits.max_drop,
            "max_class_drop": self.limits.max_class_drop,
            "accuracy": self.accuracy.to_json(),
            "macro_f1": [self.before.macro_f1, self.after.macro_f1],
            "agreement": self.agreement,
            "snr_db": None if np.isinf(self.snr_db) else self.snr_db,
            "classes": {row.name: row.recall.to_json() for row in self.classes},
            "images_needed": self.images_needed,
        }


def judge(
    variant: str,
    before: Logits,
    after: Logits,
    labels: Labels,
    names: tuple[str, ...],
    *,
    temperature: float = 1.0,
    limits: Limits | None = None,
) -> Verdict:
    """Compares a variant with its reference on held-out images.

    Args:
        variant: backend and precision, for the report.
        before: (N, K) logits of the reference, N ≥ 1.
        after: the variant's; a row with a value that is no number is wrong.
        labels: (N,).
        names: K names.
        temperature: of the bundle.
        limits: what may be lost; 1 point, and 3 of one class, when None.

    Raises:
        ValueError: shapes do not fit.
        QuantizationGuardError: the images are all of one class, so that nothing can be said about the others.
    """
    limits = limits or Limits()
    if before.shape != after.shape or before.shape != (len(labels), len(names)):
        raise ValueError(
            f"logits {before.shape} and {after.shape}, labels {labels.shape}, {len(names)} names"
        )
    present = np.unique(labels)
    if len(present) < 2:
        raise QuantizationGuardError(
            f"all {len(labels)} held-out images are {names[int(present[0])]}",
            hint="the guard compares classes: give images of all of them",
        )
    is_finite = np.asarray(np.isfinite(after).all(axis=1))
    usable = np.where(is_finite[:, None], after, np.float32(0))
    right_before = np.asarray(before.argmax(axis=1) == labels)
    right_after = (usable.argmax(axis=1) == labels) & is_finite
    overall = paired_drop(right_before, right_after)
    classes = tuple(
        _class_verdict(name, paired_drop(right_before[labels == k], right_after[labels == k]), limits)
        for k, name in enumerate(names)
        if (labels == k).any()
    )
    outcome, reasons, needed = _decide(overall, classes, limits)
    agrees = (before.argmax(axis=1) == usable.argmax(axis=1)) & is_finite
    return Verdict(
        variant,
        outcome,
        reasons,
        overall,
        classes,
        float(agrees.mean()),
        snr_db(before, usable),
        measure(softmax(before, temperature), labels, names),
        measure(softmax(usable, temperature), labels, names),
        needed,
        limits,
    )


def snr_db(reference: Logits, found: Logits) -> float:
    """Signal-to-noise ratio of logits in dB: 10 log₁₀ of Σ reference² over Σ (reference − found)²."""
    exact = reference.astype(np.float64)
    noise = float(((exact - found) ** 2).sum())
    return float("inf") if noise == 0 else 10 * float(np.log10(max((exact**2).sum(), 1e-300) / noise))


def _class_verdict(name: str, drop: PairedDrop, limits: Limits) -> ClassVerdict:
    limit = limits.max_class_drop
    is_judgeable = drop.images >= least_images(limit)
    beyond_chance = drop.drop > limit and drop.lower > 0
    return ClassVerdict(name, drop, is_judgeable, drop.drop > limit if is_judgeable else beyond_chance)


def _decide(
    overall: PairedDrop, classes: tuple[ClassVerdict, ...], limits: Limits
) -> tuple[Outcome, tuple[str, ...], int | None]:
    lost = tuple(
        f"{row.name} loses {_POINTS * row.recall.drop:.1f} points of recall ({_POINTS * row.recall.lower:.1f} to "
        f"{_POINTS * row.recall.upper:.1f}; allowed: {_POINTS * limits.max_class_drop:g})"
        for row in classes
        if row.is_lost
    )
    limit = f"{_POINTS * limits.max_drop:g} points"
    if overall.lower > limits.max_drop or overall.drop >= limits.max_drop:
        return "fail", (f"the accuracy drops by {_POINTS * overall.drop:.2f}, not below {limit}", *lost), None
    if lost:
        return "fail", lost, None
    if overall.upper < limits.max_drop:
        return "pass", (), None
    needed = overall.images_needed(limits.max_drop)
    return (
        "undecided",
        (f"{overall.images} images are too few to tell {limit}: about {needed} are needed",),
        needed,
    )
