"""Choosing how to run a bundle: the first variant that this device has, that loads, and that is right on this CPU."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from edge_runtime.bundle import Bundle, Manifest, Variant
from edge_runtime.config import InferenceSection
from edge_runtime.errors import BundleInaccurateError, EngineError, MissingExtraError
from edge_runtime.inference.engine import Engine

_log = logging.getLogger(__name__)


class _EngineClass(Protocol):
    def __call__(self, file: Path, variant: Variant, manifest: Manifest, threads: int) -> Engine: ...


def _engine_class(backend: str) -> _EngineClass:
    # Imported here: loading an engine that is not used costs start-up time and memory.
    if backend == "openvino":
        from edge_runtime.inference.openvino_engine import OpenVinoEngine

        return OpenVinoEngine
    from edge_runtime.inference.onnxruntime_engine import OnnxRuntimeEngine

    return OnnxRuntimeEngine


@dataclass(frozen=True, slots=True)
class Choice:
    """An engine that reproduces the bundle's golden outputs here.

    Attributes:
        engine: ready to run.
        variant: of the bundle.
        reason: why this one, in a sentence; published in `info`.
        golden_difference: largest absolute difference of a golden logit.
    """

    engine: Engine
    variant: Variant
    reason: str
    golden_difference: float


_HAS: Final = {"onnxruntime": "onnxruntime", "openvino": "openvino"}


def open_engine(bundle: Bundle, settings: InferenceSection) -> Choice:
    """Loads the bundle's best variant that satisfies the settings.

    With `auto`, a variant whose backend is not installed or whose golden outputs do not reproduce is passed over, which the
    reason says. A backend or precision that is named must be had.

    Raises:
        EngineError: the bundle has no such variant, or no engine can load it.
        MissingExtraError: the named backend is not installed.
        BundleInaccurateError: no variant gives the golden outputs on this CPU.
    """
    wanted = [
        variant
        for variant in bundle.manifest.variants
        if settings.backend in ("auto", variant.backend) and settings.precision in ("auto", variant.precision)
    ]
    if not wanted:
        offered = ", ".join(f"{variant.backend} {variant.precision}" for variant in bundle.manifest.variants)
        raise EngineError(
            f"bundle {bundle.manifest.name} has no variant for {settings.backend} {settings.precision}",
            hint=f"it offers: {offered}",
        )
    passed_over: list[str] = []
    failure: BundleInaccurateError | None = None
    for variant in wanted:
        name = f"{variant.backend} {variant.precision}"
        if find_spec(_HAS[variant.backend]) is None:
            if settings.backend == variant.backend:
                raise MissingExtraError(f"the engine {variant.backend}", variant.backend)
            passed_over.append(f"{name}: not installed")
            continue
        engine = _engine_class(variant.backend)(
            bundle.path(variant.file), variant, bundle.manifest, settings.threads
        )
        try:
            difference = golden_difference(engine, bundle, variant)
        except BundleInaccurateError as exc:
            _log.warning("%s", exc)
            passed_over.append(f"{name}: golden outputs differ on this CPU")
            failure = exc
            continue
        asked = "as configured" if "auto" not in (settings.backend, settings.precision) else "best of the bundle here"
        return Choice(engine, variant, "; ".join([asked, *passed_over]), difference)
    if failure is not None:
        raise failure
    raise EngineError(f"no engine for {bundle.manifest.name}: {'; '.join(passed_over)}")


def golden_difference(engine: Engine, bundle: Bundle, variant: Variant) -> float:
    """Runs the golden crops, one by one and in one batch, and compares every logit.

    Returns:
        The largest absolute difference.

    Raises:
        BundleInaccurateError: it is beyond the bundle's tolerance for this precision, or not a number.
    """
    golden = bundle.golden
    single = np.concatenate([engine.logits(golden.crops[index : index + 1]) for index in range(len(golden.crops))])
    batch = engine.logits(golden.crops)
    differences = np.abs(np.stack([single, batch]) - golden.logits)
    largest = float(differences.max())
    tolerance = golden.tolerances.get(variant.precision)
    if tolerance is None or not largest <= tolerance:
        raise BundleInaccurateError(
            bundle.folder,
            f"{variant.backend} {variant.precision} differs from the golden logits by {largest:.3g}, allowed is {tolerance}",
            hint="another precision may hold on this CPU: roomtone bundle verify shows all of them",
        )
    return largest
