"""The landmark network at work: ONNX Runtime or OpenVINO behind `faces.landmarks.PointRegressor`.

Smaller siblings of the classifier's engines: one input, two outputs, no labels. They are opened by the same rule: the
first variant that is installed, loads, and gives the golden outputs on this CPU.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.bundle import Bundle, Variant
from edge_runtime.config import Config
from edge_runtime.errors import BundleInaccurateError, EngineError, MissingExtraError, RoomtoneError
from edge_runtime.faces.alignment import FloatArray
from edge_runtime.faces.landmark_pupils import LandmarkPupils, PupilSource
from edge_runtime.faces.landmarks import LandmarkFinder, PointRegressor
from edge_runtime.faces.precut import PrecutLocator
from edge_runtime.frames.frame import Image
from edge_runtime.inference.openvino_engine import call_sizes, compile_settings
from edge_runtime.landmark_bundle import (
    CROP,
    LANDMARKS_MANIFEST,
    LOG_ERROR,
    POINTS,
    LandmarkBundle,
    landmarks_of,
    open_landmarks,
    packaged_landmarks_path,
)

_log = logging.getLogger(__name__)


class OnnxRuntimeRegressor:
    """One session on the CPU."""

    def __init__(self, file: Path, threads: int = 1) -> None:
        import onnxruntime as ort  # here, since whoever runs OpenVINO need not wait for it

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry(
            "session.intra_op.allow_spinning", "0"
        )  # the cascades want the cores
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        except Exception as exc:
            raise EngineError(
                f"ONNX Runtime cannot load {file.name}: {exc}", hint="export the landmark network again"
            ) from exc

    def regress(self, crops: Image) -> tuple[FloatArray, FloatArray]:
        """See `PointRegressor.regress`."""
        try:
            points, log_error = self._session.run([POINTS, LOG_ERROR], {CROP: crops})
        except Exception as exc:
            raise EngineError(f"ONNX Runtime failed on {crops.shape} {crops.dtype}: {exc}") from exc
        return points, log_error[:, 0]


class OpenVinoRegressor:
    """Compiled for a few fixed batch sizes, of which every call is made up; see `openvino_engine`."""

    def __init__(self, file: Path, precision: str, threads: int = 1) -> None:
        try:
            import openvino
        except ModuleNotFoundError as exc:
            raise MissingExtraError("OpenVINO", "openvino") from exc
        self._core, self._tensor = openvino.Core(), openvino.Tensor
        self._file, self._settings = file, compile_settings(precision, threads)
        self._requests: dict[int, Any] = {}
        try:
            self._model = self._core.read_model(file)
        except RuntimeError as exc:
            raise EngineError(
                f"OpenVINO cannot load {file.name}: {exc}", hint="export the landmark network again"
            ) from exc

    def regress(self, crops: Image) -> tuple[FloatArray, FloatArray]:
        """See `PointRegressor.regress`."""
        parts, start = [], 0
        try:
            for size in call_sizes(len(crops)):
                request = self._request(size)
                shared = np.require(crops[start : start + size], requirements=["C", "W"])
                request.set_tensor(CROP, self._tensor(shared, shared_memory=True))
                request.start_async()
                request.wait()
                parts.append([np.array(request.get_tensor(name).data) for name in (POINTS, LOG_ERROR)])
                start += size
        except (RuntimeError, TypeError, ValueError) as exc:
            raise EngineError(f"OpenVINO failed on {crops.shape} {crops.dtype}: {exc}") from exc
        points, log_error = (np.concatenate(column) for column in zip(*parts, strict=True))
        return points, log_error[:, 0]

    def _request(self, size: int) -> Any:
        if size not in self._requests:
            shape = self._model.input(CROP).partial_shape
            shape[0] = size
            self._model.reshape({CROP: shape})
            compiled = self._core.compile_model(self._model, "CPU", self._settings)
            self._requests[size] = compiled.create_infer_request()
        return self._requests[size]


def load_regressor(bundle: LandmarkBundle, variant: Variant, threads: int = 1) -> PointRegressor:
    """One variant, not held against the golden outputs; for those who measure.

    Raises:
        MissingExtraError: the backend is not installed.
        EngineError: it does not load.
    """
    if variant.backend == "openvino":
        return OpenVinoRegressor(bundle.path(variant.file), variant.precision, threads)
    return OnnxRuntimeRegressor(bundle.path(variant.file), threads)


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


def open_landmark_finder(folder: Path, threads: int = 1, *, finds_irises: bool = True) -> LandmarkFinder:
    """Opens a landmark network and everything around it.

    Raises:
        BundleError, EngineError: see `open_landmarks` and `open_regressor`.
    """
    bundle = open_landmarks(folder)
    regressor, _ = open_regressor(bundle, threads)
    return LandmarkFinder(regressor, bundle.manifest.alignment.template(), finds_irises=finds_irises)


def configured_landmarks(config: Config) -> LandmarkFinder | None:
    """The network that ships with roomtone where `faces.pupils` asks for landmarks; without irises.

    Raises:
        BundleError, EngineError: see `open_landmark_finder`.
    """
    if config.faces.pupils == "haar":
        return None
    return open_landmark_finder(packaged_landmarks_path(), finds_irises=False)


def pupil_source(config: Config) -> PupilSource | None:
    """What `faces.pupils` names; None: Haar eyes, for which nothing has to be opened.

    Raises:
        BundleError, EngineError: see `open_landmark_finder`.
    """
    finder = configured_landmarks(config)
    return None if finder is None else LandmarkPupils(finder)


def landmark_locator() -> PrecutLocator:
    """Finds the pupils of pre-cut faces by landmarks; see `faces.locating.locate_all`.

    Raises:
        BundleError, EngineError: see `open_landmark_finder`.
    """
    return PrecutLocator(LandmarkPupils(open_landmark_finder(packaged_landmarks_path(), finds_irises=False)))


def landmarks_for(bundle: Bundle, threads: int = 1) -> LandmarkFinder | None:
    """The landmark network of a bundle whose own network is fed with landmarks; None: it is not.

    Raises:
        EngineError: it is, and there is none here; or it does not run.
        BundleError: it cannot be opened.
    """
    if not bundle.manifest.wants_landmarks:
        return None
    folder = landmarks_of(bundle)
    if not (folder / LANDMARKS_MANIFEST).is_file():
        raise no_landmarks(bundle.manifest.name)
    return open_landmark_finder(folder, threads)


def no_landmarks(name: str) -> EngineError:
    """The error of a device that lacks what a bundle's network is fed."""
    return EngineError(
        f"bundle {name} wants the distances of landmarks, and there is no landmark network: neither in the bundle nor "
        "with this roomtone",
        hint="export it again with one, or use a bundle whose inputs are crops alone",
    )
