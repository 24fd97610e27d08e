"""OpenVINO behind the engine protocol: an extra (`roomtone[openvino]`), often the faster one on x86-64."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge_runtime.bundle import DIMENSIONS, Manifest, Variant
from edge_runtime.errors import EngineError, MissingExtraError
from edge_runtime.features import make_inputs
from edge_runtime.frames.frame import Image
from edge_runtime.inference.cpu import instruction_set
from edge_runtime.inference.engine import Dimensions, EngineReport, Logits

# int8 models say themselves which layers are quantized; the rest of them stays in float32.
_PRECISION_HINT: Final = {"fp32": "f32", "int8": "f32", "bf16": "bf16", "fp16": "f16"}


class OpenVinoEngine:
    """One compiled model on the CPU, its precision pinned: the plugin prefers BF16 on CPUs that have it."""

    def __init__(self, file: Path, variant: Variant, manifest: Manifest, threads: int) -> None:
        try:
            import openvino
        except ModuleNotFoundError as exc:
            raise MissingExtraError("OpenVINO", "openvino") from exc
        settings = compile_settings(variant.precision, threads)
        try:
            compiled = openvino.Core().compile_model(file, "CPU", settings)
        except RuntimeError as exc:
            raise EngineError(
                f"OpenVINO cannot load {file.name}: {exc}", hint="export the bundle again"
            ) from exc
        self._inputs = [(spec.kind, spec.tensor) for spec in manifest.inputs]
        output = next(spec.tensor for spec in manifest.outputs if spec.kind == "logits")
        try:
            self._output = compiled.output(output)
            self._measured = [
                compiled.output(spec.tensor) for spec in manifest.outputs if spec.kind in DIMENSIONS
            ]
            for _, tensor in self._inputs:
                compiled.input(tensor)
        except RuntimeError as exc:
            raise EngineError(
                f"{file.name} lacks a tensor of the bundle: {exc}", hint="export it again"
            ) from exc
        shape = self._output.partial_shape
        if not shape.compatible(openvino.PartialShape([-1, len(manifest.labels)])):
            raise EngineError(
                f"{file.name} gives logits of the shape {shape}, "
                f"the bundle has {len(manifest.labels)} labels",
                hint="export the bundle again",
            )
        self._request = compiled.create_infer_request()
        self.report = EngineReport(
            "openvino",
            openvino.__version__.partition("-")[0],
            variant.precision,
            _executed_precisions(compiled),
            instruction_set(),
            threads,
        )

    def logits(self, crops: Image) -> Logits:
        """See `Engine.logits`."""
        self._infer(crops)
        return self._result(self._output)

    def outputs(self, crops: Image) -> tuple[Logits, Dimensions]:
        """See `Engine.outputs`."""
        self._infer(crops)
        return self._result(self._output), np.concatenate(list(map(self._result, self._measured)), axis=1)

    def _infer(self, crops: Image) -> None:
        try:
            self._request.infer(make_inputs(self._inputs, crops), share_inputs=True)
        except RuntimeError as exc:
            raise EngineError(f"OpenVINO failed on {crops.shape} {crops.dtype}: {exc}") from exc

    def _result(self, output: Any) -> Logits:
        return np.array(self._request.get_tensor(output).data, np.float32)


def compile_settings(precision: str, threads: int) -> dict[str, Any]:
    """Of the CPU plugin, for the engine and for whoever measures it."""
    return {
        "INFERENCE_PRECISION_HINT": _PRECISION_HINT[precision],
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        # Pinned, two engines or an engine and a cascade share one core while the other idles.
        "ENABLE_CPU_PINNING": False,
    }


def _executed_precisions(compiled: Any) -> dict[str, int]:
    """How many layers the plugin really runs in each precision, from its own execution graph."""
    counts: Counter[str] = Counter()
    for operation in compiled.get_runtime_model().get_ordered_ops():
        info = operation.get_rt_info()
        if "runtimePrecision" in info and "layerType" in info:
            layer, precision = str(info["layerType"].value), str(info["runtimePrecision"].value)
            if layer in ("Convolution", "FullyConnected", "MatMul", "Pooling", "Eltwise"):
                counts[precision.lower()] += 1
    return dict(sorted(counts.items()))
