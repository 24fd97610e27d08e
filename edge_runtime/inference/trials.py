"""Every variant of a bundle tried on this CPU: which are installed, right, and how fast."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

from edge_runtime.bundle import Bundle, Variant
from edge_runtime.config import InferenceSection
from edge_runtime.errors import BundleInaccurateError, EngineError, MissingExtraError
from edge_runtime.inference.engine import Engine
from edge_runtime.inference.moment import one_moment, repeated
from edge_runtime.inference.opening import open_engine

_CALLS = 5  # of the network, for the time of one


@dataclass(frozen=True, slots=True)
class Trial:
    """How one variant did.

    Attributes:
        variant: of the bundle.
        result: `ok`, `wrong` (does not load, or not the golden outputs), or `not installed`.
        problem: in words; empty when `ok`.
        hint: what to do about it.
        golden_difference: largest absolute difference of a golden logit; None unless `ok`.
        ms_per_face: median time of one call with one face, ms; None unless `ok`.
        instruction_set: that the engine uses; empty unless `ok`.
    """

    variant: Variant
    result: Literal["ok", "wrong", "not installed"]
    problem: str = ""
    hint: str = ""
    golden_difference: float | None = None
    ms_per_face: float | None = None
    instruction_set: str = ""


def try_variants(bundle: Bundle, *, threads: int = 1) -> list[Trial]:
    """Loads each variant and compares its golden outputs; in the bundle's order, best first.

    Args:
        bundle: opened.
        threads: of the engines.
    """
    return [_try(bundle, variant, threads) for variant in bundle.manifest.variants]


def _try(bundle: Bundle, variant: Variant, threads: int) -> Trial:
    settings = InferenceSection(backend=variant.backend, precision=variant.precision, threads=threads)
    try:
        choice = open_engine(bundle, settings)
    except MissingExtraError as error:
        return Trial(variant, "not installed", str(error), error.hint)
    except (BundleInaccurateError, EngineError) as error:
        return Trial(variant, "wrong", str(error), error.hint)
    return Trial(
        variant,
        "ok",
        golden_difference=choice.golden_difference,
        ms_per_face=_ms_per_face(choice.engine, bundle),
        instruction_set=choice.engine.report.instruction_set,
    )


def _ms_per_face(engine: Engine, bundle: Bundle) -> float:
    moment = one_moment(engine, *repeated(bundle.golden, 1))
    times = []
    for _ in range(_CALLS):
        began_s = time.perf_counter()
        moment()
        times.append(time.perf_counter() - began_s)
    return sorted(times)[_CALLS // 2] * 1e3
