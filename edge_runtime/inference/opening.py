"""Choosing how to run a bundle: the first variant that is installed, loads, and is right on this CPU."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle import Bundle, Manifest, Variant
from edge_runtime.config import InferenceSection
from edge_runtime.errors import BundleInaccurateError, EngineError, MissingExtraError, RoomtoneError
from edge_runtime.golden import Golden
from edge_runtime.inference.engine import Engine, Logits, SequenceEngine
from edge_runtime.inference.network import GraphLoader, Network
from edge_runtime.inference.saturation import saturates_here
from edge_runtime.inference.sequence_network import SequenceNetwork

_log = logging.getLogger(__name__)
_GOLDEN_BATCHES: Final = (1, 2, 4, 8)


def graph_loader(backend: str) -> GraphLoader:
    """What loads a network file there."""
    # Imported here: loading an engine that is not used costs start-up time and memory.
    if backend == "openvino":
        from edge_runtime.inference.openvino_engine import OpenVinoGraph

        return OpenVinoGraph
    from edge_runtime.inference.onnxruntime_engine import OnnxRuntimeGraph

    return OnnxRuntimeGraph


def load_engine(
    file: Path, variant: Variant, manifest: Manifest, threads: int = 1, *, head: Path | None = None
) -> Engine:
    """Loads one network as a variant of a bundle; for those who measure. Nothing is checked against goldens.

    Args:
        file: the network, or its frame encoder, wherever it lies.
        variant: that it is.
        manifest: of the bundle.
        threads: of one inference.
        head: of a network of sequences; the engine is a `SequenceEngine` then.

    Raises:
        MissingExtraError: the backend is not installed.
        EngineError: it does not load, or is not of this bundle.
    """
    if find_spec(variant.backend) is None:
        raise MissingExtraError(f"the engine {variant.backend}", variant.backend)
    load = graph_loader(variant.backend)
    if head is not None:
        return SequenceNetwork(load, file, head, variant, manifest, threads)
    return Network(load, file, variant, manifest, threads)


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


Opener = Callable[[Bundle, InferenceSection], Choice]


def open_engine(bundle: Bundle, settings: InferenceSection) -> Choice:
    """Loads the bundle's best variant that satisfies the settings.

    The order is `inference.prefer`'s, which comes from the board's profile, then the bundle's own.
    A variant whose backend is not installed, whose sums saturate here, that does not load, or whose golden outputs do
    not reproduce is passed over, which the reason says. A backend or precision that is named must be had.

    Raises:
        MissingExtraError: the named backend is not installed.
        EngineError: the bundle has no such variant, none of their backends is installed, or the best one that
            is does not load or run (and no other is right).
        BundleInaccurateError: the best one does not give the golden outputs on this CPU (likewise).
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
    rank = {name: place for place, name in enumerate(settings.prefer)}
    wanted.sort(key=lambda variant: rank.get(f"{variant.backend} {variant.precision}", len(rank)))
    passed_over: list[str] = []
    failures: list[RoomtoneError] = []
    for variant in wanted:
        name = f"{variant.backend} {variant.precision}"
        if find_spec(variant.backend) is None:
            if settings.backend == variant.backend:
                raise MissingExtraError(f"the engine {variant.backend}", variant.backend)
            passed_over.append(f"{name}: not installed")
            continue
        if settings.precision == "auto" and saturates_here(bundle, variant):
            passed_over.append(f"{name}: its sums saturate on this CPU")
            continue
        file = bundle.path(variant.file)
        head = None if variant.head is None else bundle.path(variant.head)
        try:
            engine = load_engine(file, variant, bundle.manifest, settings.threads, head=head)
            difference = golden_difference(engine, bundle, variant)
        except (BundleInaccurateError, EngineError) as exc:
            _log.warning("%s", exc)
            inaccurate = isinstance(exc, BundleInaccurateError)
            why = "golden outputs differ on this CPU" if inaccurate else "does not run here"
            passed_over.append(f"{name}: {why}")
            failures.append(exc)
            continue
        is_named = "auto" not in (settings.backend, settings.precision)
        reason = (
            "as configured" if is_named else "preferred here" if name in rank else "best of the bundle here"
        )
        return Choice(engine, variant, "; ".join([reason, *passed_over]), difference)
    if failures:
        raise failures[0]
    raise EngineError(f"no engine for {bundle.manifest.name}: {'; '.join(passed_over)}")


def golden_difference(engine: Engine, bundle: Bundle, variant: Variant) -> float:
    """Runs the golden crops in calls of 1, 2, 4 and 8, and compares every logit.

    An engine may run another code at each size, and is then also ready for all of them. Frames of a sequence go
    through the encoder as on a camera, and then their features through the head.

    Returns:
        The largest absolute difference.

    Raises:
        BundleInaccurateError: it is beyond the bundle's tolerance for this precision, or not a number.
    """
    golden = bundle.golden
    if bundle.manifest.sequence is None:
        found = [_in_calls(engine.logits, size, golden.crops) for size in _GOLDEN_BATCHES]
    else:
        found = _of_sequences(cast("SequenceEngine", engine), golden)
    differences = np.abs(np.stack(found) - golden.logits)
    largest = float(differences.max())
    tolerance = golden.tolerances[variant.precision]
    if not largest <= tolerance:
        raise BundleInaccurateError(
            bundle.folder,
            f"{variant.backend} {variant.precision} differs from the golden logits by {largest:.3g}, "
            f"allowed is {tolerance:.3g}",
            hint="another precision may hold on this CPU: roomtone bundle verify shows all of them",
        )
    return largest


def _in_calls(call: Callable[[Any], Logits], size: int, rows: npt.NDArray[Any]) -> Logits:
    return np.concatenate([call(rows[start : start + size]) for start in range(0, len(rows), size)])


def _of_sequences(engine: SequenceEngine, golden: Golden) -> list[Logits]:
    """Logits of the golden sequences, by heads of each size; each frame is encoded once, in calls of changing size."""
    count, frames = golden.crops.shape[:2]
    crops = golden.crops.reshape(-1, *golden.crops.shape[2:])
    given = {kind: rows.reshape(len(crops), -1) for kind, rows in golden.given.items()}
    features, start = [], 0
    for size in cycle(_GOLDEN_BATCHES):
        rows = slice(start, start + size)
        features.append(engine.encode(crops[rows], {kind: values[rows] for kind, values in given.items()}))
        start += size
        if start >= len(crops):
            break
    sequences = np.concatenate(features).reshape(count, frames, -1)
    return [_in_calls(lambda rows: engine.head(rows)[0], size, sequences) for size in _GOLDEN_BATCHES]
