"""Where two formats of a network part: the first value inside it that differs, in the order of the graph.

Torch's exporter names the values of the ONNX graph as the traced program names its own, and OpenVINO keeps ONNX's
names, so that all three can be asked for the same values. Asking for a value keeps an engine from fusing it away: a
fault of a fusion can vanish under this look, which is then what is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import openvino
import torch
from torch import Tensor, fx

from edge_runtime.frames.frame import Image
from export.deploy import DeployedNetwork
from export.onnx_graph import trace
from export.tolerances import VALUE_OF_LARGEST

Values = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class ValueDifference:
    """One value of a graph that differs between two formats.

    Attributes:
        operator: ONNX's, that makes it.
        value: its name in the graph.
        difference: largest absolute difference.
        largest: of the value's own numbers.
    """

    operator: str
    value: str
    difference: float
    largest: float

    def __str__(self) -> str:
        return f"{self.operator} → {self.value} (differs by {self.difference:.3g}, its values reach {self.largest:.3g})"


def torch_values(network: DeployedNetwork, crops: Image) -> Values:
    """All values of the traced network for (n, size, size) uint8 crops, by their names in the ONNX graph."""
    program = trace(network, crops.shape[-1]).exported_program
    if program is None:
        raise TypeError("torch.onnx.export kept no program")
    recorder = _Recorder(program.module())
    with torch.inference_mode():
        recorder.run(*network.made_of(crops))
    return recorder.values


class _Recorder(fx.Interpreter):
    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.values: Values = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, Tensor):
            self.values[n.name] = result.numpy()
        return result


def onnxruntime_values(file: Path, feed: Mapping[str, Any]) -> Values:
    """All values of an ONNX network in ONNX Runtime, without its own optimizations; `feed` by names of its inputs."""
    model, names = _open_values(file)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    found = session.run(names, dict(feed))
    return dict(zip(names, found, strict=True))


def openvino_values(file: Path, feed: Mapping[str, Any]) -> Values:
    """All values of an ONNX network in OpenVINO, in float32; `feed` by names of its inputs."""
    model, names = _open_values(file)
    compiled = openvino.Core().compile_model(
        openvino.Core().read_model(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    found = compiled(dict(feed))
    return {name: np.array(found[name]) for name in names}


def first_difference(
    file: Path, wanted: Mapping[str, Any], found: Mapping[str, Any]
) -> ValueDifference | None:
    """The first value, in the order of the graph, that differs by more than float32 sums in another order do.

    Args:
        file: the ONNX network that gives the order.
        wanted: values by name, of the format that is right.
        found: of the other; what only one of them has is passed over.

    Returns:
        None where all agree.
    """
    for node in onnx.load(file).graph.node:
        for name in node.output:
            before, after = wanted.get(name), found.get(name)
            if before is None or after is None or before.shape != after.shape or before.dtype.kind != "f":
                continue
            if before.size == 0:
                continue
            largest = float(np.abs(before).max())
            difference = float(np.nan_to_num(np.abs(after.astype(np.float64) - before), nan=np.inf).max())
            if difference > VALUE_OF_LARGEST * max(largest, VALUE_OF_LARGEST):
                return ValueDifference(node.op_type, name, difference, largest)
    return None


def _open_values(file: Path) -> tuple[bytes, list[str]]:
    """The network with every value as an output, and their names."""
    model = onnx.load(file)
    outputs = {output.name for output in model.graph.output}
    inner = [name for node in model.graph.node for name in node.output if name and name not in outputs]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in inner)
    return model.SerializeToString(), [*inner, *outputs]
