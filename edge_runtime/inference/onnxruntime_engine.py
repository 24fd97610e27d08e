"""ONNX Runtime behind the engine protocol: the engine of the core install, on every board."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort

from edge_runtime.bundle import DIMENSIONS, Manifest, Variant
from edge_runtime.errors import EngineError
from edge_runtime.features import make_inputs
from edge_runtime.frames.frame import Image
from edge_runtime.inference.cpu import instruction_set
from edge_runtime.inference.engine import Dimensions, EngineReport, Logits


class OnnxRuntimeEngine:
    """One session on the CPU."""

    def __init__(self, file: Path, variant: Variant, manifest: Manifest, threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Spinning threads would take the cores from the cascades between two batches.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        except Exception as exc:
            raise EngineError(
                f"ONNX Runtime cannot load {file.name}: {exc}", hint="export the bundle again"
            ) from exc
        self._inputs = [(spec.kind, spec.tensor) for spec in manifest.inputs]
        self._output = next(spec.tensor for spec in manifest.outputs if spec.kind == "logits")
        outputs = {output.name: output.shape for output in self._session.get_outputs()}
        for _, tensor in self._inputs:
            _check_graph(file, tensor, {put.name for put in self._session.get_inputs()})
        self._measured = [spec.tensor for spec in manifest.outputs if spec.kind in DIMENSIONS]
        for tensor in (self._output, *self._measured):
            _check_graph(file, tensor, set(outputs))
        if outputs[self._output][1:] != [len(manifest.labels)]:
            raise EngineError(
                f"{file.name} gives logits of the shape {outputs[self._output]}, "
                f"the bundle has {len(manifest.labels)} labels",
                hint="export the bundle again",
            )
        self.report = EngineReport(
            "onnxruntime", ort.__version__, variant.precision, {}, instruction_set(), threads
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
        try:
            found = self._session.run(outputs, make_inputs(self._inputs, crops))
        except Exception as exc:
            raise EngineError(f"ONNX Runtime failed on {crops.shape} {crops.dtype}: {exc}") from exc
        return [np.asarray(tensor, np.float32) for tensor in found]


def _check_graph(file: Path, wanted: str, found: set[str]) -> None:
    if wanted not in found:
        raise EngineError(
            f"{file.name} has no tensor {wanted!r}; it has {', '.join(sorted(found))}",
            hint="export the bundle again",
        )
