"""The landmark network at work: a graph behind `faces.landmarks.PointRegressor`.

It is opened by the classifier's rule: the first variant that is installed, loads, and gives the golden outputs on
this CPU.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from edge_runtime.bundle import Bundle, Variant
from edge_runtime.errors import BundleInaccurateError, EngineError, RoomtoneError
from edge_runtime.faces.alignment import FloatArray
from edge_runtime.faces.landmarks import LandmarkFinder, PointRegressor
from edge_runtime.frames.frame import Image
from edge_runtime.inference.engine import Graph, GraphSpec
from edge_runtime.inference.opening import graph_loader
from edge_runtime.landmark_bundle import (
    CROP,
    LANDMARKS_MANIFEST,
    LOG_ERROR,
    POINTS,
    LandmarkBundle,
    landmarks_of,
    open_landmarks,
)

_log = logging.getLogger(__name__)


class GraphRegressor:
    """A loaded graph with one input and two outputs: a `PointRegressor`."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def regress(self, crops: Image) -> tuple[FloatArray, FloatArray]:
        """See `PointRegressor.regress`."""
        points, log_error = self._graph.run([POINTS, LOG_ERROR], {CROP: crops})
        return points, log_error[:, 0]


def load_regressor(bundle: LandmarkBundle, variant: Variant, threads: int = 1) -> PointRegressor:
    """One variant, not held against the golden outputs; for those who measure.

    Raises:
        MissingExtraError: the backend is not installed.
        EngineError: it does not load.
    """
    spec = GraphSpec(
        bundle.path(variant.file),
        inputs=(CROP,),
        outputs=(POINTS, LOG_ERROR),
        columns=bundle.golden.logits.shape[1],
        columns_are="coordinates",
        precision=variant.precision,
        threads=threads,
    )
    return GraphRegressor(graph_loader(variant.backend)(spec))


def golden_distance(regressor: PointRegressor, bundle: LandmarkBundle, variant: Variant) -> float:
    """Runs the golden cuts, one by one and together.

    Returns:
        The largest absolute difference of a coordinate.

    Raises:
        EngineError: the engine failed.
        BundleInaccurateError: it is beyond the tolerance for this precision, or not a number.
    """
    golden = bundle.golden
    alone = np.concatenate(
        [regressor.regress(golden.crops[row : row + 1])[0] for row in range(len(golden.crops))]
    )
    together = regressor.regress(golden.crops)[0]
    largest = float(np.abs(np.stack([alone, together]) - golden.logits).max())
    tolerance = golden.tolerances[variant.precision]
    if not largest <= tolerance:
        raise BundleInaccurateError(
            bundle.folder,
            f"{variant.backend} {variant.precision} differs from the golden points by {largest:.3g}, "
            f"allowed is {tolerance:.3g}",
            hint="another precision may hold on this CPU",
        )
    return largest


def open_regressor(bundle: LandmarkBundle, threads: int = 1) -> tuple[PointRegressor, Variant]:
    """The bundle's best variant that is installed, loads, and is right here.

    Raises:
        EngineError, BundleInaccurateError: none is; the error is the best one's.
    """
    failures: list[RoomtoneError] = []
    for variant in bundle.manifest.variants:
        if find_spec(variant.backend) is None:
            continue
        try:
            regressor = load_regressor(bundle, variant, threads)
            golden_distance(regressor, bundle, variant)
        except (BundleInaccurateError, EngineError) as exc:
            _log.warning("%s", exc)
            failures.append(exc)
            continue
        return regressor, variant
    if failures:
        raise failures[0]
    raise EngineError(
        f"no engine for the landmark network in {bundle.folder}", hint="pip install onnxruntime"
    )


def open_landmark_finder(
    folder: Path, threads: int = 1, *, finds_irises: bool = True, looks_twice: bool = True
) -> LandmarkFinder:
    """Opens a landmark network and everything around it; see `LandmarkFinder`.

    Raises:
        BundleError, EngineError: see `open_landmarks` and `open_regressor`.
    """
    bundle = open_landmarks(folder)
    regressor, _ = open_regressor(bundle, threads)
    template = bundle.manifest.alignment.template()
    return LandmarkFinder(regressor, template, finds_irises=finds_irises, looks_twice=looks_twice)


def landmarks_for(bundle: Bundle, threads: int = 1) -> LandmarkFinder | None:
    """The landmark network of a bundle whose own network is fed with landmarks; None: it is not.

    Raises:
        EngineError: it is, and there is none here; or it does not run.
        BundleError: it cannot be opened.
    """
    folder = _needed_landmarks(bundle)
    return None if folder is None else open_landmark_finder(folder, threads)


def landmarks_in_words(bundle: Bundle) -> str | None:
    """The landmark network that `landmarks_for` opens, for people; None: none is needed.

    Raises:
        BundleError, EngineError: see `landmarks_for`.
    """
    folder = _needed_landmarks(bundle)
    if folder is None:
        return None
    found = open_landmarks(folder)
    _, variant = open_regressor(found)
    place = "ships with roomtone" if bundle.manifest.landmarks is None else "is part of the bundle"
    return f"network {found.manifest.version}, which {place}, by {variant.backend} {variant.precision}"


def _needed_landmarks(bundle: Bundle) -> Path | None:
    if not bundle.manifest.wants_landmarks:
        return None
    folder = landmarks_of(bundle)
    if not (folder / LANDMARKS_MANIFEST).is_file():
        raise no_landmarks(bundle.manifest.name)
    return folder


def no_landmarks(name: str) -> EngineError:
    """The error of a device that lacks what a bundle's network is fed."""
    return EngineError(
        f"bundle {name} wants the distances of landmarks, and there is no landmark network: neither in the bundle nor "
        "with this roomtone",
        hint="export it again with --landmarks, or use a bundle whose inputs are crops alone",
    )
