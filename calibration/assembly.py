"""`roomtone calibrate`, whole: a float bundle → a bundle with proven variants, honest confidence, and a report.

samples, held-out splits → quantization → temperature of the best variant → bundle; report beside it
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from calibration.clips import prepare_clips
from calibration.evaluation import OnProgress, infer, silent
from calibration.outcome import Quantization, QuantizationSettings, VariantResult
from calibration.pipeline import Calibration, Quantized, fit, prepare_splits, write_calibrated
from calibration.quantization import quantize_bundle
from calibration.samples import PER_CLASS, CalibrationSet, choose_samples, load_samples
from edge_runtime.bundle import Bundle
from edge_runtime.bundle_writing import check_target
from edge_runtime.inference.engine import Engine
from edge_runtime.inference.opening import load_engine

# Integer sums are the same on every CPU that does not saturate; what differs is the float around them, which may move
# a value to the next step. A saturating CPU misses by many times the measured difference.
_TOLERANCE_OF_MEASURED: Final = 2.0
_LEAST_TOLERANCE_OF_LARGEST: Final = 0.02


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """Where calibration crops come from: a file that was chosen before, or a fresh choice from the training split.

    Attributes:
        file: that was chosen before; None for a fresh choice.
        per_class, seed: of a fresh choice.
        state: where the key of a sealed file lies; see `load_samples`.
    """

    file: Path | None = None
    per_class: int = PER_CLASS
    seed: int = 0
    state: Path | None = None


@dataclass(frozen=True, slots=True)
class Proven:
    """A bundle that was written, and everything that was found on the way."""

    bundle: Bundle
    calibration: Calibration
    quantization: Quantization

    def to_json(self) -> dict[str, Any]:
        """As plain types."""
        return {
            "bundle": str(self.bundle.folder),
            "digest": self.bundle.digest,
            **self.calibration.to_json(),
            "quantization": self.quantization.to_json(),
        }


def prove_bundle(
    bundle: Bundle,
    data: Path,
    out: Path,
    settings: QuantizationSettings,
    *,
    samples: SampleRequest,
    split: str = "public",
    labelling: str = "fer",
    cache: Path | None = None,
    force: bool = False,
    report: Path | None = None,
    on_progress: OnProgress = silent,
) -> Proven:
    """Quantizes, proves, times, fits and writes. The bundle offers only what the guard passed.

    Args:
        bundle: with a float variant of ONNX Runtime; INT8 that it has already is made anew.
        data: labelled faces, see `edge_runtime.faces.labelled`; for a network of sequences clips, `calibration.clips`.
        out: the folder to be.
        settings: what is asked of INT8.
        samples: the calibration set.
        split: to choose on; the verdict is always spoken on the private one.
        labelling: of a `.npz`: `fer` or `ferplus`.
        cache: folder for the pupils found.
        force: replaces a bundle that is there.
        report: folder for `report.html` and its pictures; None writes none.
        on_progress: called with (stage, done, total).

    Raises:
        ConfigurationError: the data or the calibration set cannot be used.
        QuantizationGuardError: the held-out images are of one class.
        EngineError: the network cannot be quantized at all.
    """
    check_target(out, force=force)
    if bundle.manifest.sequence is not None:
        chosen, held_out = prepare_clips(data, bundle)
    else:
        held_out = prepare_splits(
            bundle, data, split=split, labelling=labelling, cache=cache, on_progress=on_progress
        )
        chosen = _samples(bundle, data, samples, labelling, on_progress)
    with tempfile.TemporaryDirectory(prefix="roomtone-int8-") as name:
        folder = Path(name)
        found = quantize_bundle(bundle, chosen, held_out, folder, settings, on_progress)
        _drop_what_failed(found, folder)
        quantized = Quantized(
            tuple(result.variant for result in found.offered),
            folder,
            _tolerances(bundle, found, folder),
            found.to_json(),
        )
        best = _engine(bundle, found.offered[0], folder)
        calibration = fit(bundle, best, held_out, on_progress)
        written = write_calibrated(bundle, calibration, out, force=force, quantized=quantized)
    if report is not None:
        from calibration.report import write_report

        write_report(report, written, calibration, found)
    return Proven(written, calibration, found)


def _samples(
    bundle: Bundle, data: Path, request: SampleRequest, labelling: str, on_progress: OnProgress
) -> CalibrationSet:
    if request.file is not None:
        return load_samples(request.file, bundle, request.state)
    return choose_samples(
        data,
        bundle,
        labelling=labelling,
        per_class=request.per_class,
        seed=request.seed,
        on_progress=on_progress,
    )


def _drop_what_failed(found: Quantization, folder: Path) -> None:
    for result in found.results:
        if result.attempts and not result.is_offered:
            file = folder / result.variant.file
            if file.suffix == ".xml":
                shutil.rmtree(file.parent)
            else:
                file.unlink()


def _tolerances(bundle: Bundle, found: Quantization, folder: Path) -> dict[str, float]:
    """How far a golden logit of INT8 may be: twice what it is here, and not less than 2 % of the largest."""
    golden = bundle.golden
    differences = [
        float(
            np.abs(
                infer(_engine(bundle, result, folder), golden.crops, given=golden.given) - golden.logits
            ).max()
        )
        for result in found.offered
        if result.variant.precision == "int8"
    ]
    if not differences:
        return {}
    least = _LEAST_TOLERANCE_OF_LARGEST * float(np.abs(golden.logits).max())
    return {"int8": round(max(_TOLERANCE_OF_MEASURED * max(differences), least), 4)}


def _engine(bundle: Bundle, result: VariantResult, folder: Path) -> Engine:
    place = folder if result.variant.precision == "int8" else bundle.folder
    head = None if result.variant.head is None else bundle.path(result.variant.head)
    return load_engine(place / result.variant.file, result.variant, bundle.manifest, head=head)
