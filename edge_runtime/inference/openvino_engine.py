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
# Beyond 8 a face costs the same; each size costs memory (22 MB for hafnet_half). Golden outputs are checked in each:
# `edge_runtime.inference.opening.golden_difference`.
_SIZES: Final = (8, 4, 2, 1)


class OpenVinoEngine:
    """A network compiled for a few fixed batch sizes, of which every call is made up; its precision is pinned.

    The plugin would prefer BF16 on CPUs that have it. A network of dynamic batch takes up to 1.5 times as long for one
    face, and 3 ms more whenever the number of faces changes, which on a camera it does all the time.
    """

    def __init__(self, file: Path, variant: Variant, manifest: Manifest, threads: int) -> None:
        try:
            import openvino
        except ModuleNotFoundError as exc:
            raise MissingExtraError("OpenVINO", "openvino") from exc
        self._core, self._tensor, self._file = openvino.Core(), openvino.Tensor, file
        self._settings = compile_settings(variant.precision, threads)
        self._inputs = [(spec.kind, spec.tensor) for spec in manifest.inputs]
        self._output = next(spec.tensor for spec in manifest.outputs if spec.kind == "logits")
        self._measured = [spec.tensor for spec in manifest.outputs if spec.kind in DIMENSIONS]
        try:
            self._model = self._core.read_model(file)
        except RuntimeError as exc:
            raise EngineError(
                f"OpenVINO cannot load {file.name}: {exc}", hint="export the bundle again"
            ) from exc
        try:
            shape = self._model.output(self._output).partial_shape
            for tensor in self._measured:
                self._model.output(tensor)
            for _, tensor in self._inputs:
                self._model.input(tensor)
        except RuntimeError as exc:
            raise EngineError(
                f"{file.name} lacks a tensor of the bundle: {exc}", hint="export it again"
            ) from exc
        if not shape.compatible(openvino.PartialShape([-1, len(manifest.labels)])):
            raise EngineError(
                f"{file.name} gives logits of the shape {shape}, "
                f"the bundle has {len(manifest.labels)} labels",
                hint="export the bundle again",
            )
        # Batch size → compiled network and its one request; the other sizes when they are first needed.
        self._compiled = {1: self._compile(1)}
        self.report = EngineReport(
            "openvino",
            openvino.__version__.partition("-")[0],
            variant.precision,
            _executed_precisions(self._compiled[1][0]),
            instruction_set(),
            threads,
        )

    def logits(self, crops: Image) -> Logits:
        """See `Engine.logits`."""
        (logits,) = self._run([self._output], crops)
        return logits

    def outputs(self, crops: Image) -> tuple[Logits, Dimensions]:
        """See `Engine.outputs`."""
        logits, *measured = self._run([self._output, *self._measured], crops)
        return logits, np.concatenate(measured, axis=1)

    def _run(self, outputs: list[str], crops: Image) -> list[Logits]:
        inputs = make_inputs(self._inputs, crops)
        parts: list[list[Logits]] = [[] for _ in outputs]
        start = 0
        for size in call_sizes(len(crops)):
            stop = start + size
            request = self._request(size)
            try:
                for tensor, rows in inputs.items():
                    # Shared memory has to be contiguous and writable; hardly any crops are not, and are copied.
                    shared = np.require(rows[start:stop], requirements=["C", "W"])
                    request.set_tensor(tensor, self._tensor(shared, shared_memory=True))
                # `infer` would copy every output, and take a fifth longer for one face.
                request.start_async()
                request.wait()
            except (RuntimeError, TypeError, ValueError) as exc:
                raise EngineError(f"OpenVINO failed on {crops.shape} {crops.dtype}: {exc}") from exc
            for part, output in zip(parts, outputs, strict=True):
                part.append(np.array(request.get_tensor(output).data, np.float32))
            start = stop
        return [part[0] if len(part) == 1 else np.concatenate(part) for part in parts]

    def _request(self, size: int) -> Any:
        if size not in self._compiled:
            self._compiled[size] = self._compile(size)
        return self._compiled[size][1]

    def _compile(self, size: int) -> tuple[Any, Any]:
        try:
            self._model.reshape({tensor: self._shape(tensor, size) for _, tensor in self._inputs})
            compiled = self._core.compile_model(self._model, "CPU", self._settings)
            return compiled, compiled.create_infer_request()
        except RuntimeError as exc:
            raise EngineError(
                f"OpenVINO cannot compile {self._file.name} for {size} faces in one call: {exc}",
                hint="export the bundle again",
            ) from exc

    def _shape(self, tensor: str, size: int) -> Any:
        shape = self._model.input(tensor).partial_shape
        shape[0] = size
        return shape


def call_sizes(faces: int) -> list[int]:
    """Batch sizes of the calls that so many faces are made up of, largest first."""
    sizes = []
    for size in _SIZES:
        count, faces = divmod(faces, size)
        sizes += [size] * count
    return sizes


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
