"""OpenVINO as a graph's engine: an extra (`roomtone[openvino]`), often the faster one on x86-64."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from edge_runtime.errors import EngineError, MissingExtraError
from edge_runtime.inference.cpu import instruction_set
from edge_runtime.inference.engine import EngineReport, GraphSpec, Logits

# int8 models say themselves which layers are quantized; the rest of them stays in float32.
_PRECISION_HINT: Final = {"fp32": "f32", "int8": "f32", "bf16": "bf16", "fp16": "f16"}
# Beyond 8 a face costs the same; each size costs memory (22 MB for hafnet_half). Golden outputs are checked in each:
# `edge_runtime.inference.opening.golden_difference`.
_SIZES: Final = (8, 4, 2, 1)


class OpenVinoGraph:
    """A network compiled for a few fixed batch sizes, of which every call is made up; its precision is pinned.

    The plugin would prefer BF16 on CPUs that have it. A network of dynamic batch takes up to 1.5 times as long for one
    face, and 3 ms more whenever the number of faces changes, which on a camera it does all the time.
    """

    def __init__(self, spec: GraphSpec) -> None:
        try:
            import openvino
        except ModuleNotFoundError as exc:
            raise MissingExtraError("OpenVINO", "openvino") from exc
        self._core, self._tensor, self._spec = openvino.Core(), openvino.Tensor, spec
        self._settings = compile_settings(spec.precision, spec.threads)
        try:
            self._model = self._core.read_model(spec.file)
        except RuntimeError as exc:
            raise EngineError(
                f"OpenVINO cannot load {spec.file.name}: {exc}", hint="export the bundle again"
            ) from exc
        first = spec.outputs[0]
        try:
            shape = self._model.output(first).partial_shape
            for tensor in spec.outputs[1:]:
                self._model.output(tensor)
            for tensor in spec.inputs:
                self._model.input(tensor)
        except RuntimeError as exc:
            raise EngineError(
                f"{spec.file.name} lacks a tensor of the bundle: {exc}", hint="export it again"
            ) from exc
        if not shape.compatible(openvino.PartialShape([-1, spec.columns])):
            raise EngineError(
                f"{spec.file.name} gives {first} of the shape {shape}, "
                f"the bundle has {spec.columns} {spec.columns_are}",
                hint="export the bundle again",
            )
        # Batch size → compiled network and its one request; the other sizes when they are first needed.
        self._compiled = {1: self._compile(1)}
        self.report = EngineReport(
            "openvino",
            openvino.__version__.partition("-")[0],
            spec.precision,
            _executed_precisions(self._compiled[1][0]),
            instruction_set(),
            spec.threads,
        )

    def run(self, outputs: Sequence[str], inputs: Mapping[str, npt.NDArray[Any]]) -> list[Logits]:
        """See `Graph.run`."""
        parts: list[list[Logits]] = [[] for _ in outputs]
        start = 0
        for size in call_sizes(len(next(iter(inputs.values())))):
            stop = start + size
            request = self._request(size)
            try:
                # Shared memory has to be contiguous and writable, so that some inputs are copied. The copies have to
                # be there until the answer is: the request keeps no reference to them.
                shared = {
                    tensor: np.require(rows[start:stop], requirements=["C", "W"])
                    for tensor, rows in inputs.items()
                }
                for tensor, memory in shared.items():
                    request.set_tensor(tensor, self._tensor(memory, shared_memory=True))
                # `infer` would copy every output, and take a fifth longer for one face.
                request.start_async()
                request.wait()
            except (RuntimeError, TypeError, ValueError) as exc:
                shapes = ", ".join(f"{values.shape} {values.dtype}" for values in inputs.values())
                raise EngineError(f"OpenVINO failed on {shapes}: {exc}") from exc
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
            self._model.reshape({tensor: self._shape(tensor, size) for tensor in self._spec.inputs})
            compiled = self._core.compile_model(self._model, "CPU", self._settings)
            return compiled, compiled.create_infer_request()
        except RuntimeError as exc:
            raise EngineError(
                f"OpenVINO cannot compile {self._spec.file.name} for {size} faces in one call: {exc}",
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
