"""ONNX Runtime as a graph's engine: the one of the core install, on every board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from edge_runtime.errors import EngineError
from edge_runtime.inference.cpu import instruction_set
from edge_runtime.inference.engine import EngineReport, GraphSpec, Logits


class OnnxRuntimeGraph:
    """One session on the CPU."""

    def __init__(self, spec: GraphSpec) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = spec.threads
        options.inter_op_num_threads = 1
        # Spinning threads would take the cores from the cascades between two batches.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(spec.file, options, providers=["CPUExecutionProvider"])
        except Exception as exc:
            raise EngineError(
                f"ONNX Runtime cannot load {spec.file.name}: {exc}", hint="export the bundle again"
            ) from exc
        outputs = {output.name: output.shape for output in self._session.get_outputs()}
        for tensor in spec.inputs:
            _check_graph(spec.file, tensor, {put.name for put in self._session.get_inputs()})
        for tensor in spec.outputs:
            _check_graph(spec.file, tensor, set(outputs))
        first = spec.outputs[0]
        if outputs[first][1:] != [spec.columns]:
            raise EngineError(
                f"{spec.file.name} gives {first} of the shape {outputs[first]}, "
                f"the bundle has {spec.columns} {spec.columns_are}",
                hint="export the bundle again",
            )
        self.report = EngineReport(
            "onnxruntime", ort.__version__, spec.precision, {}, instruction_set(), spec.threads
        )

    def run(self, outputs: Sequence[str], inputs: Mapping[str, npt.NDArray[Any]]) -> list[Logits]:
        """See `Graph.run`."""
        try:
            found = self._session.run(outputs, inputs)
        except Exception as exc:
            shapes = ", ".join(f"{values.shape} {values.dtype}" for values in inputs.values())
            raise EngineError(f"ONNX Runtime failed on {shapes}: {exc}") from exc
        return [np.asarray(tensor, np.float32) for tensor in found]


def _check_graph(file: Path, wanted: str, found: set[str]) -> None:
    if wanted not in found:
        raise EngineError(
            f"{file.name} has no tensor {wanted!r}; it has {', '.join(sorted(found))}",
            hint="export the bundle again",
        )
