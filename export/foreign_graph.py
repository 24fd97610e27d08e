"""The contract becomes part of somebody else's graph: uint8 crops in, logits out, as every bundle has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import TensorProto, compose, helper, numpy_helper

from export.contract import LEAST_PROBABILITY, Contract
from export.foreign import AdoptionError, tensor_of

PREFIX: Final = "adopted/"  # of every name that the network came with
FACE: Final = "face"  # what the network is fed


def wrap(file: Path, model: onnx.ModelProto, contract: Contract, side: int) -> onnx.ModelProto:
    """Uint8 crops → what the network wants → the network → logits.

    Args:
        file: that it came as, for errors.
        model: read and checked.
        contract: what it takes and gives.
        side: of a crop, px.
    """
    put, given = contract.input, contract.output
    opsets = list(model.opset_import)
    # The factor is rounded upwards, so that no output is a pixel short.
    factor = np.nextafter(np.float32(put.size_px / side), np.float32(np.inf))
    constants: dict[str, npt.NDArray[Any]] = {
        "axis": np.array([1]),
        "factors": np.array([1, 1, factor, factor], np.float32),
        "scale": put.per_channel()[0],
        "offset": put.per_channel()[1],
    }
    nodes = [
        helper.make_node("Cast", ["crop"], ["pixels"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["pixels", "axis"], ["plane"], "to_plane"),
        helper.make_node("Resize", ["plane", "", "factors"], ["resized"], "resize", mode="linear"),
        # One plane times (1, channels, 1, 1): the channels come of it.
        helper.make_node("Mul", ["resized", "scale"], ["scaled"], "scaling"),
        helper.make_node("Add", ["scaled", "offset"], ["channels"], "offsetting"),
    ]
    if put.layout == "NHWC":
        nodes.append(helper.make_node("Transpose", ["channels"], [FACE], "to_nhwc", perm=[0, 2, 3, 1]))
    else:
        nodes.append(helper.make_node("Identity", ["channels"], [FACE], "as_it_is"))
    face: list[Any] = ["batch", put.size_px, put.size_px]
    face.insert(1 if put.layout == "NCHW" else 3, put.channels)
    crop: list[Any] = ["batch", side, side]
    before = _model(nodes, constants, ("crop", TensorProto.UINT8, crop), (FACE, face), opsets)
    if given.values == "probabilities":
        floor = {"floor": np.array(LEAST_PROBABILITY, np.float32)}
        tail = [
            helper.make_node("Max", ["values", "floor"], ["positive"], "floor_probabilities"),
            helper.make_node("Log", ["positive"], ["logits"], "to_logits"),
        ]
    else:
        floor, tail = {}, [helper.make_node("Identity", ["values"], ["logits"], "to_logits")]
    row: list[Any] = ["batch", len(contract.labels)]
    after = _model(tail, floor, ("values", TensorProto.FLOAT, row), ("logits", row), opsets)
    network = compose.add_prefix(model, PREFIX)
    for part in (before, after):
        part.ir_version = network.ir_version
    entry = PREFIX + tensor_of(file, model, "input", put.tensor).name
    result = PREFIX + tensor_of(file, model, "output", given.tensor).name
    whole = compose.merge_models(before, network, [(FACE, entry)], outputs=[result])
    return compose.merge_models(whole, after, [(result, "values")])


def _model(
    nodes: list[onnx.NodeProto],
    constants: dict[str, npt.NDArray[Any]],
    entry: tuple[str, int, list[Any]],
    result: tuple[str, list[Any]],
    opsets: list[onnx.OperatorSetIdProto],
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "contract",
        [helper.make_tensor_value_info(*entry)],
        [helper.make_tensor_value_info(result[0], TensorProto.FLOAT, result[1])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=opsets)


def write_simplified(file: Path, model: onnx.ModelProto, out: Path, metadata: dict[str, str]) -> None:
    """Folds constants and batch norms, by ONNX Runtime's basic level, which writes standard operators only.

    Raises:
        AdoptionError: ONNX Runtime cannot run it.
    """
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(out)
    options.log_severity_level = 3
    try:
        ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as exc:
        raise AdoptionError(file, f"ONNX Runtime cannot run it: {exc}") from exc
    simplified = onnx.load(out)
    used = {node.domain for node in simplified.graph.node}
    # It declares all operator sets that it knows, ONNX's own twice.
    opsets = {entry.domain: entry for entry in simplified.opset_import if entry.domain in used}
    del simplified.opset_import[:]
    simplified.opset_import.extend(opsets.values())
    helper.set_model_props(simplified, metadata)
    onnx.save(simplified, out)
