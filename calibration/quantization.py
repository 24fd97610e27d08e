"""From a float bundle to variants that are proven: right by the guard, and in the order of their speed.

    calibration set → ranges → sensitivity of each layer → search on the choosing split → guard on the test split
                    → speed in turns → which variants the bundle offers, best first

Everything runs through the device's own engines. What is not right is left out; INT8 that is not clearly faster than
the next precision is offered behind it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np

from calibration.evaluation import HeldOut, OnProgress, PreparedFaces, infer, silent
from calibration.guard import Verdict, judge
from calibration.outcome import Quantization, QuantizationSettings, VariantResult, variant_name
from calibration.quantize import OnnxRuntimeQuantizer, OpenVinoQuantizer, feeds
from calibration.samples import CalibrationSet
from calibration.search import Attempt, Quantizer, search
from calibration.sensitivity import rank_layers
from calibration.tool_defaults import DEFAULTS, write_default
from edge_runtime.board import read_board
from edge_runtime.bundle import Bundle, Measured, Variant
from edge_runtime.errors import EngineError
from edge_runtime.inference.cpu import instruction_set
from edge_runtime.inference.engine import Engine, Logits
from edge_runtime.inference.opening import load_engine
from edge_runtime.inference.speed import BATCHES, Speedup, Timing, measure_speed, speedup

# Where the quantized files lie in a bundle.
INT8: Final = (
    Variant(backend="onnxruntime", precision="int8", file="model.int8.onnx"),
    Variant(backend="openvino", precision="int8", file="openvino/int8/model.xml"),
)
_SENSITIVITY_CROPS: Final = 64
_CHOICE_BATCH: Final = max(BATCHES)


def quantize_bundle(
    bundle: Bundle,
    samples: CalibrationSet,
    held_out: HeldOut,
    folder: Path,
    settings: QuantizationSettings | None = None,
    on_progress: OnProgress = silent,
) -> Quantization:
    """Makes, proves and times all variants.

    Args:
        bundle: with a float variant of ONNX Runtime.
        samples: what the quantizers see.
        held_out: what they are judged on.
        folder: where INT8 files are written, at the paths that they have in a bundle.
        settings: what is asked; the defaults when None.
        on_progress: called with (stage, done, total).

    Raises:
        EngineError: the bundle has no float variant of ONNX Runtime, or the network cannot be quantized.
        QuantizationGuardError: the held-out images are of one class.
    """
    settings, manifest = settings or QuantizationSettings(), bundle.manifest
    reference = _reference(bundle)
    source, items = bundle.path(reference.file), feeds(manifest, samples.crops, samples.given)
    # Of a network of sequences its frame encoder is quantized; the head stays in float.
    head = None if reference.head is None else bundle.path(reference.head)

    def load(file: Path, variant: Variant) -> Engine:
        return load_engine(file, variant, manifest, head=head)

    def of_bundle(variant: Variant) -> Variant:
        return variant.model_copy(update={"head": reference.head, "head_precision": reference.head_precision})

    on_progress("ranges", 0, 1)
    quantizer = OnnxRuntimeQuantizer(source, items)
    on_progress("ranges", 1, 1)
    # Layers are looked at on crops that spread over the classes, not on the first class alone.
    spread = np.linspace(0, len(samples.crops) - 1, min(_SENSITIVITY_CROPS, len(samples.crops))).astype(int)
    ranking = rank_layers(
        quantizer,
        source,
        manifest,
        samples.crops[spread],
        given={kind: rows[spread] for kind, rows in samples.given.items()},
        head=head,
        saturation_safe=settings.saturation_safe,
        on_layer=lambda done, total: on_progress("layers, one by one", done, total),
    )
    exact = load(source, reference)
    wanted = {
        part: infer(
            exact, faces.crops, lambda _, done, total: on_progress("reference", done, total), faces.given
        )
        for part, faces in (("choosing", held_out.choosing), ("testing", held_out.testing))
    }

    def verdict(name: str, engine: Engine, part: str, faces: PreparedFaces) -> tuple[Verdict, Logits]:
        found = infer(
            engine,
            faces.crops,
            lambda _, done, total: on_progress(f"{name}, {part}", done, total),
            faces.given,
        )
        names, temperature = manifest.label_names, manifest.temperature
        return judge(
            name,
            wanted[part],
            found,
            faces.labels,
            names,
            temperature=temperature,
            limits=settings.limits,
        ), found

    engines: dict[Variant, Engine] = {reference: exact}
    outcomes: dict[Variant, tuple[Verdict | None, tuple[Attempt, ...], Logits]] = {
        reference: (None, (), wanted["testing"])
    }
    for variant in manifest.variants:
        if variant.precision == "int8" or _key(variant) == _key(reference) or not _is_installed(variant):
            continue
        engines[variant] = load(bundle.path(variant.file), variant)
        spoken, logits = verdict(variant_name(variant), engines[variant], "testing", held_out.testing)
        outcomes[variant] = (spoken, (), logits)
    makers: list[tuple[Variant, Callable[[], Quantizer]]] = [
        (of_bundle(INT8[0]), lambda: quantizer),
        (of_bundle(INT8[1]), lambda: OpenVinoQuantizer(source, items)),
    ]
    for variant, make in makers:
        if not _is_installed(variant):
            continue
        file, name = folder / variant.file, variant_name(variant)
        attempts = search(
            make(),
            file,
            ranking,
            lambda path, variant=variant, name=name: verdict(  # type: ignore[misc]
                name, load(path, variant), "choosing", held_out.choosing
            )[0],
            saturation_safe=settings.saturation_safe,
        )
        engines[variant] = load(file, variant)
        spoken, logits = verdict(name, engines[variant], "testing", held_out.testing)
        outcomes[variant] = (spoken, tuple(attempts), logits)
    failures: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="roomtone-defaults-") as spare:
        for variant in DEFAULTS if settings.compare_defaults else ():
            if not _is_installed(variant):
                continue
            name = variant_name(variant)
            on_progress(f"{name}, making", 0, 1)
            try:
                file = write_default(variant, source, items, Path(spare))
                engine = load(file, of_bundle(variant))
                spoken, logits = verdict(name, engine, "testing", held_out.testing)
            except EngineError as error:
                failures[name] = str(error)
                continue
            finally:
                on_progress(f"{name}, making", 1, 1)
            variant = of_bundle(variant)
            engines[variant], outcomes[variant] = engine, (spoken, (), logits)
    timings = _time(engines, samples, on_progress)
    return Quantization(
        _in_order(outcomes, timings, settings),
        ranking,
        samples,
        settings,
        held_out.testing,
        read_board().cpu or "unknown",
        failures,
    )


def _time(
    engines: Mapping[Variant, Engine], samples: CalibrationSet, on_progress: OnProgress
) -> dict[Variant, dict[int, Timing]]:
    named = {variant_name(variant): engine for variant, engine in engines.items()}
    timed = measure_speed(
        named,
        samples.crops,
        given=samples.given,
        on_round=lambda done, total: on_progress("speed", done, total),
    )
    return {variant: {batch: timed[variant_name(variant), batch] for batch in BATCHES} for variant in engines}


def _in_order(
    outcomes: Mapping[Variant, tuple[Verdict | None, tuple[Attempt, ...], Logits]],
    timings: Mapping[Variant, Mapping[int, Timing]],
    settings: QuantizationSettings,
) -> tuple[VariantResult, ...]:
    """Offered first, right before wrong; then by time, but INT8 that misses its factor behind the float variants."""

    def is_right(variant: Variant) -> bool:
        verdict = outcomes[variant][0]
        return verdict is None or verdict.passed

    def next_precision(variant: Variant) -> Variant:
        # Of the same engine: a device may have no other.
        floats = [
            other
            for other in outcomes
            if other.backend == variant.backend and other.precision != "int8" and is_right(other)
        ]
        return min(floats or [reference], key=lambda other: timings[other][_CHOICE_BATCH].median_ms)

    def gains(variant: Variant, over: Variant) -> dict[int, Speedup]:
        return {batch: speedup(timings[variant][batch], timings[over][batch]) for batch in BATCHES}

    reference = next(variant for variant, (verdict, *_) in outcomes.items() if verdict is None)
    results = []
    for variant, (verdict, attempts, logits) in outcomes.items():
        over_next = gains(variant, next_precision(variant)) if variant.precision == "int8" else {}
        is_faster = all(gain.low >= settings.min_speedup for gain in over_next.values())
        measured = variant.model_copy(update={"measured": _measured(verdict, outcomes, timings[variant])})
        results.append(
            VariantResult(
                measured,
                verdict,
                timings[variant],
                attempts,
                logits,
                gains(variant, reference),
                over_next,
                is_faster,
            )
        )
    return tuple(
        sorted(
            results,
            key=lambda result: (
                not result.is_offered,
                not result.is_right,
                not result.is_faster,
                result.timings[_CHOICE_BATCH].median_ms,
            ),
        )
    )


def _measured(
    verdict: Verdict | None,
    outcomes: Mapping[Variant, tuple[Verdict | None, tuple[Attempt, ...], Logits]],
    timings: Mapping[int, Timing],
) -> Measured | None:
    judged = verdict or next((other for other, *_ in outcomes.values() if other is not None), None)
    if judged is None:
        return None
    quality = judged.before if verdict is None else judged.after
    return Measured(
        accuracy=round(quality.accuracy, 5),
        accuracy_low=round(quality.accuracy_low, 5),
        accuracy_high=round(quality.accuracy_high, 5),
        ms_batch_1=round(timings[1].median_ms, 3),
        ms_batch_8=round(timings[8].median_ms, 3),
        cpu=read_board().cpu or "unknown",
        instruction_set=instruction_set(),
    )


def _reference(bundle: Bundle) -> Variant:
    for variant in bundle.manifest.variants:
        if variant.backend == "onnxruntime" and variant.precision == "fp32":
            return variant
    raise EngineError(
        f"bundle {bundle.manifest.name} has no variant onnxruntime fp32 to quantize",
        hint="export it again with `roomtone export`",
    )


def _is_installed(variant: Variant) -> bool:
    return find_spec(variant.backend) is not None


def _key(variant: Variant) -> tuple[str, str]:
    return variant.backend, variant.precision
