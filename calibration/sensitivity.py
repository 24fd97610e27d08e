"""Which layers hurt: the logits' signal-to-noise ratio when only this one layer is quantized."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from calibration.evaluation import infer
from calibration.guard import snr_db
from calibration.quantize import Layer, OnnxRuntimeQuantizer, Recipe
from edge_runtime.bundle import Manifest, Variant
from edge_runtime.frames.frame import Image
from edge_runtime.inference.engine import NOTHING, Given
from edge_runtime.inference.opening import load_engine

_PROBE: Final = Variant(backend="onnxruntime", precision="int8", file="probe.onnx")


@dataclass(frozen=True, slots=True)
class LayerSensitivity:
    """One layer, quantized alone; the lower the ratio, the more it hurts."""

    layer: Layer
    snr_db: float


def rank_layers(
    quantizer: OnnxRuntimeQuantizer,
    source: Path,
    manifest: Manifest,
    crops: Image,
    *,
    given: Given = NOTHING,
    head: Path | None = None,
    saturation_safe: bool = False,
    on_layer: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[LayerSensitivity, ...]:
    """Quantizes each layer alone and looks at the logits; the worst first.

    Args:
        quantizer: of `source`, its ranges measured.
        source: the float network.
        manifest: of its bundle.
        crops: (N, size, size) uint8 that are looked at.
        given: what belongs to them.
        head: of a network of sequences, whose encoder `source` is.
        saturation_safe: see `Recipe`.
        on_layer: called with (layers done, layers in all).

    Raises:
        EngineError: a layer cannot be quantized, or the result does not run.
    """
    probe = (
        _PROBE if head is None else _PROBE.model_copy(update={"head": head.name, "head_precision": "fp32"})
    )
    reference = infer(load_engine(source, probe, manifest, head=head), crops, given=given)
    found = []
    with tempfile.TemporaryDirectory(prefix="roomtone-layers-") as folder:
        for done, layer in enumerate(quantizer.layers, start=1):
            file = Path(folder) / _PROBE.file
            quantizer.write(file, Recipe(only=frozenset({layer.node}), saturation_safe=saturation_safe))
            logits = infer(load_engine(file, probe, manifest, head=head), crops, given=given)
            found.append(LayerSensitivity(layer, snr_db(reference, logits)))
            on_layer(done, len(quantizer.layers))
    return tuple(sorted(found, key=lambda row: row.snr_db))
