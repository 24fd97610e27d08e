"""From a bundle to the same bundle that knows how good it is: temperature, measured quality, model card.

The temperature is fitted on one split and the quality is measured on another that nothing was chosen on.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from calibration.evaluation import HeldOut, OnProgress, PreparedFaces, infer, prepare, silent
from calibration.metrics import Metrics, measure
from calibration.temperature import fit_temperature
from edge_runtime.bundle import Bundle, Manifest, Quality, Variant, open_bundle, variant_files
from edge_runtime.bundle_card import CARD, CardQuality, ClassQuality, render_card
from edge_runtime.bundle_writing import (
    add_tolerances,
    check_target,
    digests,
    new_bundle,
    write_golden,
    write_manifest,
)
from edge_runtime.errors import ConfigurationError, Fault
from edge_runtime.golden import GOLDEN
from edge_runtime.inference.classifier import softmax
from edge_runtime.inference.engine import Engine, EngineReport, Logits
from edge_runtime.inference.opening import Choice

REPORT: Final = "calibration.json"
SCHEMA_ID: Final = "roomtone-calibration/1"
TEST_SPLIT: Final = "private"
_UNFIT: Final = {
    "private": "is the test: fitted on it, the measured calibration would flatter itself; fit on public",
    "training": "is what the network learned, where it is surer than anywhere else; fit on public",
}


@dataclass(frozen=True, slots=True)
class SplitQuality:
    """One split, measured with the bundle's old temperature and with the new one."""

    faces: PreparedFaces
    before: Metrics
    after: Metrics

    def to_json(self) -> dict[str, Any]:
        """As plain types."""
        return {
            "data": self.faces.data,
            "left_out": self.faces.left_out,
            "pupils_found": self.faces.pupils_found,
            "before": self.before.to_json(),
            "after": self.after.to_json(),
        }


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was found.

    Attributes:
        temperature_before, temperature: of the bundle that was read, and fitted.
        fitted: on the choosing split.
        tested: on the split that nothing was chosen on.
        engine: what really ran.
    """

    temperature_before: float
    temperature: float
    fitted: SplitQuality
    tested: SplitQuality
    engine: EngineReport

    def to_json(self) -> dict[str, Any]:
        """The content of `calibration.json`."""
        report = self.engine
        return {
            "schema": SCHEMA_ID,
            "temperature_before": self.temperature_before,
            "temperature": self.temperature,
            "engine": {"backend": report.backend, "version": report.version, "precision": report.precision},
            "fitted": self.fitted.to_json(),
            "tested": self.tested.to_json(),
        }


@dataclass(frozen=True, slots=True)
class Quantized:
    """What `calibration.quantization` adds to a bundle.

    Attributes:
        variants: to offer, best first.
        folder: holds their new files, at the paths that they have in the bundle.
        tolerances: precision → largest accepted difference of a golden logit.
        report: goes into `calibration.json`.
    """

    variants: tuple[Variant, ...]
    folder: Path
    tolerances: dict[str, float]
    report: dict[str, Any]


def check_split(split: str) -> None:
    """Refuses to fit on anything but the choosing split.

    Raises:
        ConfigurationError: the test or the training split.
    """
    if split in _UNFIT:
        raise ConfigurationError("the command line", [Fault("--split", f"{split} {_UNFIT[split]}")])


def calibrate(
    bundle: Bundle,
    choice: Choice,
    data: Path,
    *,
    split: str = "public",
    labelling: str = "fer",
    cache: Path | None = None,
    on_progress: OnProgress = silent,
) -> Calibration:
    """Fits the temperature on one split and measures on the private one.

    Args:
        bundle: opened.
        choice: the engine to measure with.
        data: `.npz` or folder per class, see `edge_runtime.faces.labelled`.
        split: to fit on.
        labelling: of a `.npz`: `fer` or `ferplus`.
        cache: folder for the pupils found; None keeps nothing.
        on_progress: called with (stage, done, total).

    Raises:
        ConfigurationError: the split is not one to fit on, or the data cannot be used.
        TemperatureError: no temperature within reason fits.
    """
    held_out = prepare_splits(
        bundle, data, split=split, labelling=labelling, cache=cache, on_progress=on_progress
    )
    return fit(bundle, choice.engine, held_out, on_progress)


def prepare_splits(
    bundle: Bundle,
    data: Path,
    *,
    split: str = "public",
    labelling: str = "fer",
    cache: Path | None = None,
    on_progress: OnProgress = silent,
) -> HeldOut:
    """The choosing split and the test split, cut as on the device; see `calibrate`.

    Raises:
        ConfigurationError: the split is not one to fit on, or the data cannot be used.
    """
    check_split(split)
    choosing, testing = (
        prepare(data, part, bundle, labelling=labelling, cache=cache, on_progress=on_progress)
        for part in (split, TEST_SPLIT)
    )
    return HeldOut(choosing, testing)


def fit(bundle: Bundle, engine: Engine, held_out: HeldOut, on_progress: OnProgress = silent) -> Calibration:
    """Fits the temperature on the choosing split and measures on the test split.

    Raises:
        TemperatureError: no temperature within reason fits.
        EngineError: the engine failed.
    """
    before, names = bundle.manifest.temperature, bundle.manifest.label_names
    parts = (held_out.choosing, held_out.testing)
    logits = [_logits(engine, faces, on_progress) for faces in parts]
    after = fit_temperature(logits[0], parts[0].labels)
    fitted, tested = (
        SplitQuality(
            faces,
            measure(softmax(found, before), faces.labels, names),
            measure(softmax(found, after), faces.labels, names),
        )
        for faces, found in zip(parts, logits, strict=True)
    )
    return Calibration(before, after, fitted, tested, engine.report)


def write_calibrated(
    bundle: Bundle,
    calibration: Calibration,
    out: Path,
    *,
    force: bool = False,
    quantized: Quantized | None = None,
) -> Bundle:
    """Writes the bundle anew with its temperature, quality, model card and `calibration.json`.

    Args:
        bundle: that was calibrated.
        calibration: what was found.
        out: the folder to be.
        force: replaces a bundle that is there.
        quantized: variants to offer in place of the bundle's own, and their new files; None keeps what there is.

    Raises:
        BundleError: something is at `out` already.
    """
    check_target(out, force=force)
    manifest = _manifest(bundle.manifest, calibration)
    if quantized is not None:
        manifest = manifest.model_copy(update={"variants": quantized.variants})
    report = calibration.to_json() | ({} if quantized is None else {"quantization": quantized.report})
    with new_bundle(out, force=force) as folder:
        for path in _kept_files(bundle, manifest):
            _copy(bundle.folder, folder, path)
        if quantized is not None:
            # File by file: the folder's own mode is the owner's alone.
            for made in quantized.folder.rglob("*"):
                if made.is_file():
                    _copy(quantized.folder, folder, made.relative_to(quantized.folder))
            write_golden(add_tolerances(bundle.golden, quantized.tolerances), folder / GOLDEN)
        (folder / REPORT).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        (folder / CARD).write_text(render_card(manifest, _card_quality(calibration)), encoding="utf-8")
        write_manifest(folder, manifest.model_copy(update={"files": digests(folder)}))
        open_bundle(folder)
    return open_bundle(out)


def _copy(source: Path, target: Path, path: str | Path) -> None:
    """One file at its place below a folder; modes are those of any new file."""
    (target / path).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / path, target / path)


def _kept_files(bundle: Bundle, manifest: Manifest) -> list[str]:
    """Files that go over unchanged: all but what is written anew, and networks that no variant runs any more."""
    old, new = (
        {name for variant in variants for name in variant_files(variant)}
        for variants in (bundle.manifest.variants, manifest.variants)
    )
    dropped = {CARD, REPORT} | (old - new)
    return [file.path for file in bundle.manifest.files if file.path not in dropped]


def _logits(engine: Engine, faces: PreparedFaces, on_progress: OnProgress) -> Logits:
    return infer(
        engine,
        faces.crops,
        lambda stage, done, total: on_progress(f"{stage}, {faces.data}", done, total),
        faces.given,
    )


def _manifest(manifest: Manifest, calibration: Calibration) -> Manifest:
    measured = calibration.tested.after
    quality = Quality(
        data=calibration.tested.faces.data,
        images=measured.images,
        accuracy=measured.accuracy,
        accuracy_low=measured.accuracy_low,
        accuracy_high=measured.accuracy_high,
        macro_f1=measured.macro_f1,
        expected_calibration_error=measured.expected_calibration_error,
    )
    return manifest.model_copy(update={"temperature": calibration.temperature, "quality": quality})


def _card_quality(calibration: Calibration) -> CardQuality:
    tested, report = calibration.tested, calibration.engine
    return CardQuality(
        classes=[
            ClassQuality(row.name, row.images, row.precision, row.recall) for row in tested.after.classes
        ],
        engine=f"{report.backend} {report.version}, {report.precision}",
        fitted_on=f"{calibration.fitted.after.images} images of {calibration.fitted.faces.data}",
        error_before=tested.before.expected_calibration_error,
        left_out=tested.faces.left_out,
    )
