"""Quantizing the landmark network, by the classifier's quantizers, with a guard of its own: points instead of classes.

    marked faces of the training split → cuts → INT8 by ONNX Runtime and by NNCF
    marked faces of the test split → errors of each variant, face by face → verdict → times → the folder anew

A variant passes when the error that it adds is less than `MAX_ADDED` at the upper end of a one-sided 95 % interval
over persons. The first attempt quantizes everything, the second leaves the last layer, which writes the coordinates, in
float.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from calibration.landmark_quality import LandmarkEvaluation, evaluate_landmarks, landmark_errors
from calibration.quantize import Feed, OnnxRuntimeQuantizer, OpenVinoQuantizer, Recipe
from edge_runtime.board import read_board
from edge_runtime.bundle import Variant
from edge_runtime.bundle_writing import add_tolerances, check_target, digests, new_bundle, write_golden
from edge_runtime.faces.alignment import FloatArray, align, default_pupils
from edge_runtime.faces.landmarks import LandmarkFinder, PointRegressor, closer_pupils
from edge_runtime.faces.marked import MarkedFaces, load_marked
from edge_runtime.frames.frame import Image
from edge_runtime.golden import GOLDEN
from edge_runtime.inference.cpu import instruction_set
from edge_runtime.inference.landmark_engine import load_regressor
from edge_runtime.inference.speed import Speedup, measure_calls, speedup
from edge_runtime.landmark_bundle import (
    CROP,
    LANDMARKS_MANIFEST,
    LandmarkBundle,
    LandmarkQuality,
    open_landmarks,
)

MAX_ADDED: Final = 0.002  # by the distance of the outer eye corners: a twentieth of a usual error
REPORT: Final = "calibration.json"
_SAMPLES, _BATCH = 256, 8
_DRAWS: Final = 2000
_TOLERANCE_OF_MEASURED: Final = 2.0
_LEAST_TOLERANCE: Final = 0.02
_FILES: Final = {"onnxruntime": "model.int8.onnx", "openvino": "openvino/int8/model.xml"}


@dataclass(frozen=True, slots=True)
class LandmarkVerdict:
    """What the guard says of one quantized variant.

    Attributes:
        variant: backend and precision.
        added: mean error that it adds to the float network's, by the distance of the outer eye corners.
        added_upper: the same at the upper end of a one-sided 95 % interval over persons.
        layers_in_float: that could have been quantized.
        passed: whether it may be used.
    """

    variant: str
    added: float
    added_upper: float
    layers_in_float: int
    passed: bool


@dataclass(frozen=True, slots=True)
class LandmarkCalibration:
    """A landmark network that was written, and what was found.

    Attributes:
        bundle: opened.
        evaluation: of the variant that stands first, on the test split.
        verdicts: of the quantized variants.
        ms_per_face: variant → median of the network's part in both passes, 8 faces at a time on one thread.
        speedup: quantized variant → over float32 of the same engine, at batch 8.
    """

    bundle: LandmarkBundle
    evaluation: LandmarkEvaluation
    verdicts: tuple[LandmarkVerdict, ...]
    ms_per_face: Mapping[str, float]
    speedup: Mapping[str, Speedup]

    def to_json(self) -> dict[str, Any]:
        """The content of `calibration.json`."""
        return {
            "schema": "roomtone-landmark-calibration/1",
            "max_added": MAX_ADDED,
            "cpu": read_board().cpu,
            "instruction_set": instruction_set(),
            "evaluation": self.evaluation.to_json(),
            "verdicts": [asdict(verdict) for verdict in self.verdicts],
            "ms_per_face_batch_8": dict(self.ms_per_face),
            "speedup_over_fp32": {name: asdict(gain) for name, gain in self.speedup.items()},
        }


def calibrate_landmarks(
    source: LandmarkBundle,
    data: Path,
    out: Path,
    *,
    force: bool = False,
    on_step: Callable[[str], None] = lambda step: None,
) -> LandmarkCalibration:
    """Quantizes, proves, times and writes.

    Args:
        source: a landmark network with its float variants.
        data: marked faces.
        out: the folder to be.
        force: replaces a landmark network that is there.
        on_step: called with what is done next.

    Raises:
        BundleError: something is at `out` already.
        ConfigurationError: the data cannot be used.
        EngineError: the network cannot be quantized.
    """
    check_target(out, force=force, manifest=LANDMARKS_MANIFEST)
    on_step("finding the faces")
    training, test = load_marked(data, "training"), load_marked(data, "test")
    floats = tuple(variant for variant in source.manifest.variants if variant.precision == "fp32")
    reference = landmark_errors(_finder(source, source.folder, floats[0]), test)
    with tempfile.TemporaryDirectory(prefix="roomtone-landmarks-") as name:
        folder = Path(name)
        verdicts, offered = [], []
        for backend, file in _FILES.items():
            on_step(f"quantizing for {backend}")
            variant = Variant(backend=backend, precision="int8", file=file)
            verdict = _quantize(source, variant, folder, _feeds(source, training), reference, test)
            verdicts.append(verdict)
            if verdict.passed:
                offered.append(variant)
        on_step("timing")
        engines = {_name(variant): load_regressor(source, variant) for variant in floats}
        engines |= {_name(variant): _regressor(source, folder, variant) for variant in offered}
        times = measure_calls(
            {name: _both_passes(engine) for name, engine in engines.items()},
            source.golden.crops,
            batches=(_BATCH,),
        )
        gains = {
            _name(variant): speedup(times[_name(variant), _BATCH], times[f"{variant.backend} fp32", _BATCH])
            for variant in offered
        }
        ms = {name: timing.median_ms / _BATCH for (name, _), timing in times.items()}
        ranked = tuple(sorted((*offered, *floats), key=lambda variant: ms[_name(variant)]))
        on_step("measuring")
        best = ranked[0]
        place = folder if best in offered else source.folder
        evaluation = evaluate_landmarks(_finder(source, place, best), test)
        found = LandmarkCalibration(source, evaluation, tuple(verdicts), ms, gains)
        tolerance = _tolerance(source, folder, offered)
        _write(source, found, out, ranked, folder, tolerance, data, force=force)
    return LandmarkCalibration(open_landmarks(out), evaluation, tuple(verdicts), ms, gains)


def added_error(before: FloatArray, after: FloatArray, persons: Any) -> tuple[float, float]:
    """Mean of the differences, and its upper one-sided 95 % bound, persons drawn anew (seeded).

    Args:
        before: (N,) errors of the reference; NaN where it gave a face up, which is then left out.
        after: (N,) of the same faces, likewise.
        persons: (N,) names.
    """
    known = np.isfinite(before) & np.isfinite(after)
    difference = (after - before)[known].astype(np.float64)
    _, places = np.unique(persons[known], return_inverse=True)
    sums, counts = np.bincount(places, difference), np.bincount(places)
    drawn = np.random.default_rng(0).integers(len(sums), size=(_DRAWS, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    return float(difference.mean()), float(np.percentile(means, 95))


def _quantize(
    source: LandmarkBundle,
    variant: Variant,
    folder: Path,
    items: list[Feed],
    reference: FloatArray,
    test: MarkedFaces,
) -> LandmarkVerdict:
    network = source.path(next(v.file for v in source.manifest.variants if v.precision == "fp32"))
    make = OnnxRuntimeQuantizer if variant.backend == "onnxruntime" else OpenVinoQuantizer
    quantizer = make(network, items)
    last = next(layer.node for layer in reversed(quantizer.layers) if "points" in layer.title)
    file = folder / variant.file
    verdict = None
    for kept in (frozenset[str](), frozenset({last})):
        quantizer.write(file, Recipe(keep_float=kept))
        after = landmark_errors(_finder(source, folder, variant), test)
        added, upper = added_error(reference, after, test.persons)
        verdict = LandmarkVerdict(_name(variant), added, upper, len(kept), upper < MAX_ADDED)
        if verdict.passed:
            return verdict
    shutil.rmtree(file.parent) if file.suffix == ".xml" else file.unlink()
    assert verdict is not None  # noqa: S101 - the loop above has two rounds
    return verdict


def _feeds(source: LandmarkBundle, faces: MarkedFaces) -> list[Feed]:
    """Cuts of faces spread over the set, as the device makes them in its two passes in turns, in batches."""
    template = source.manifest.alignment.template()
    rows = np.linspace(0, len(faces) - 1, min(_SAMPLES, len(faces))).astype(np.intp)
    pupils = default_pupils(faces.boxes_xyxy)
    pupils[1::2] = closer_pupils(faces.marks_xy[1::2])
    cuts: Image = np.concatenate([align(faces.images[row], pupils[row : row + 1], template) for row in rows])
    return [{CROP: cuts[start : start + _BATCH]} for start in range(0, len(cuts), _BATCH)]


def _both_passes(engine: PointRegressor) -> Callable[[Image], None]:
    """What `LandmarkFinder` asks of the network for so many faces."""

    def ask(cuts: Image) -> None:
        engine.regress(cuts)
        engine.regress(np.concatenate([cuts, cuts]))

    return ask


def _regressor(source: LandmarkBundle, folder: Path, variant: Variant) -> PointRegressor:
    return load_regressor(LandmarkBundle(folder, source.manifest, source.golden), variant)


def _finder(source: LandmarkBundle, folder: Path, variant: Variant) -> LandmarkFinder:
    return LandmarkFinder(_regressor(source, folder, variant), source.manifest.alignment.template())


def _tolerance(source: LandmarkBundle, folder: Path, offered: list[Variant]) -> dict[str, float]:
    """How far a golden coordinate of INT8 may be: twice what it is here."""
    golden = source.golden
    far = [
        float(np.abs(_regressor(source, folder, variant).regress(golden.crops)[0] - golden.logits).max())
        for variant in offered
    ]
    return {"int8": round(max(_TOLERANCE_OF_MEASURED * max(far), _LEAST_TOLERANCE), 4)} if far else {}


def _write(
    source: LandmarkBundle,
    found: LandmarkCalibration,
    out: Path,
    ranked: tuple[Variant, ...],
    folder: Path,
    tolerance: dict[str, float],
    data: Path,
    *,
    force: bool,
) -> None:
    evaluation = found.evaluation
    quality = LandmarkQuality(
        data=f"{data.name}, test split",
        faces=evaluation.faces,
        persons=evaluation.persons,
        error=round(evaluation.error.mean, 5),
        error_low=round(evaluation.error.low, 5),
        error_high=round(evaluation.error.high, 5),
    )
    with new_bundle(out, force=force, manifest=LANDMARKS_MANIFEST) as target:
        for variant in source.manifest.variants:
            if variant.precision == "fp32":
                shutil.copyfile(source.path(variant.file), target / variant.file)
        shutil.copytree(folder, target, dirs_exist_ok=True)
        write_golden(add_tolerances(source.golden, tolerance), target / GOLDEN)
        (target / REPORT).write_text(json.dumps(found.to_json(), indent=1) + "\n", encoding="utf-8")
        manifest = source.manifest.model_copy(
            update={"variants": ranked, "quality": quality, "files": digests(target)}
        )
        (target / LANDMARKS_MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        open_landmarks(target)


def _name(variant: Variant) -> str:
    return f"{variant.backend} {variant.precision}"
