"""What a candidate must show before it sees a live frame: its contract, its measured quality, and itself on this CPU.

Every check speaks, also after one has failed: an engineer wants the whole list.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import Final, Literal

from edge_runtime.bundle import Bundle, Manifest
from edge_runtime.config import InferenceSection, UpdatesSection
from edge_runtime.errors import BundleError, CandidateRefusedError, EngineError, MissingExtraError
from edge_runtime.inference.engine import Engine
from edge_runtime.inference.moment import one_moment, repeated
from edge_runtime.inference.opening import Choice, open_engine
from edge_runtime.updates.slot_table import Waiver

Name = Literal["labels", "quality", "golden", "speed"]

_BATCH: Final = 8  # faces; a class is read in batches of about this size
_ROUNDS: Final = 15  # of both networks in turn, so that both meet the same weather on the CPU
_LEAST_ROUNDS: Final = 3
_MEASURE_S: Final = 3.0  # a network that is far too slow does not get all its rounds


@dataclass(frozen=True, slots=True)
class Check:
    """One check and its outcome; `detail` holds the figures, in a sentence."""

    name: Name
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Examination:
    """The outcome of all checks.

    Attributes:
        checks: in the order in which they were made.
        choice: the candidate's engine, ready to run; None when it gave no right outputs here.
    """

    checks: tuple[Check, ...]
    choice: Choice | None

    @property
    def reasons(self) -> list[str]:
        """What speaks against the candidate; empty when nothing does."""
        return [f"{check.name}: {check.detail}" for check in self.checks if not check.passed]

    def require(self, bundle: str) -> Choice:
        """The engine of a candidate that passed.

        Raises:
            CandidateRefusedError: it did not.
        """
        if self.reasons or self.choice is None:
            raise CandidateRefusedError(bundle, self.reasons)
        return self.choice


def examine(
    candidate: Bundle,
    current: Bundle,
    inference: InferenceSection,
    updates: UpdatesSection,
    waivers: tuple[Waiver, ...] = (),
) -> Examination:
    """Makes all checks; takes a few seconds of one core.

    Args:
        candidate: opened.
        current: what runs now, opened.
        inference: with which both run.
        updates: the limits.
        waivers: `labels` takes another label set.
    """
    labels = check_labels(candidate.manifest, current.manifest, is_waived="labels" in waivers)
    quality = check_quality(candidate.manifest, current.manifest, updates)
    try:
        choice = open_engine(candidate, inference)
    except (BundleError, EngineError, MissingExtraError) as exc:
        return Examination((labels, quality, Check("golden", False, str(exc))), None)
    golden = Check(
        "golden",
        True,
        f"reproduced by {choice.variant.backend} {choice.variant.precision}, "
        f"largest difference {choice.golden_difference:.2g}",
    )
    speed = _check_speed(choice, candidate, current, inference, updates)
    return Examination((labels, quality, golden, speed), choice)


def check_labels(candidate: Manifest, current: Manifest, *, is_waived: bool = False) -> Check:
    """Dashboards and automations know the labels by name: the same ones must come, with the same meaning."""
    have = {label.name: (label.polarity, label.reading) for label in current.labels}
    comes = {label.name: (label.polarity, label.reading) for label in candidate.labels}
    if have == comes:
        return Check("labels", True, f"the same {len(have)} labels")
    parts = [
        *(f"{name} is missing" for name in have if name not in comes),
        *(f"{name} is new" for name in comes if name not in have),
        *(
            f"{name} has another polarity or reading"
            for name in have
            if name in comes and have[name] != comes[name]
        ),
    ]
    detail = ", ".join(parts)
    return Check("labels", is_waived, f"{detail} (allowed by the operator)" if is_waived else detail)


def check_quality(candidate: Manifest, current: Manifest, updates: UpdatesSection) -> Check:
    """Measured accuracy against the floor and, where both were measured on the same data, against the current one."""
    new, old = candidate.quality, current.quality
    if new is None:
        is_fine = old is None and updates.min_accuracy == 0
        return Check("quality", is_fine, "was not measured: roomtone evaluate writes it into the bundle")
    if new.accuracy < updates.min_accuracy:
        return Check(
            "quality", False, f"accuracy {new.accuracy:.1%} is below the floor of {updates.min_accuracy:.1%}"
        )
    if old is None or old.data != new.data:
        return Check(
            "quality",
            True,
            f"accuracy {new.accuracy:.1%} on {new.data}; the current one was not measured there",
        )
    drop = old.accuracy - new.accuracy
    detail = f"accuracy {new.accuracy:.1%}, the current one has {old.accuracy:.1%}"
    return Check("quality", drop <= updates.max_accuracy_drop, detail)


def _check_speed(
    choice: Choice, candidate: Bundle, current: Bundle, inference: InferenceSection, updates: UpdatesSection
) -> Check:
    try:
        reference = open_engine(current, inference)
    except (BundleError, EngineError, MissingExtraError):
        engines = [(choice.engine, candidate)]
    else:
        engines = [(choice.engine, candidate), (reference.engine, current)]
    times = [value * 1000 for value in seconds_per_face(engines)]
    detail = f"{times[0]:.2f} ms a face"
    if times[0] <= updates.max_face_ms:
        return Check("speed", True, f"{detail}, allowed are {updates.max_face_ms:g}")
    if len(times) == 1:
        return Check("speed", False, f"{detail}, allowed are {updates.max_face_ms:g}")
    ratio = times[0] / times[1]
    return Check(
        "speed",
        ratio <= updates.max_slowdown,
        f"{detail}, allowed are {updates.max_face_ms:g} or {updates.max_slowdown:g} times the current one's "
        f"{times[1]:.2f}",
    )


def seconds_per_face(engines: list[tuple[Engine, Bundle]]) -> list[float]:
    """Median time of each engine for a face, in batches, measured in turn so that both have the same conditions."""
    moments = [one_moment(engine, *repeated(bundle.golden, _BATCH)) for engine, bundle in engines]
    times: list[list[float]] = [[] for _ in engines]
    began_s = time.perf_counter()
    for number in range(_ROUNDS + 1):
        for moment, taken in zip(moments, times, strict=True):
            start_s = time.perf_counter()
            moment()
            if number or time.perf_counter() - start_s > _MEASURE_S:  # the first one warms up
                taken.append((time.perf_counter() - start_s) / _BATCH)
        is_enough = min(map(len, times)) >= _LEAST_ROUNDS
        if is_enough and time.perf_counter() - began_s > _MEASURE_S:
            break
    return [median(taken) for taken in times]
