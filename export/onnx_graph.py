"""From a deployed network to one ONNX file: simplified, checked, the same bytes every time.

Torch's exporter is used in its current form (`dynamo=True`). Its optimiser already folds constants, and batch
norm into the convolution or linear layer before it. What is left here is to take out what it writes for
debugging (stack traces with paths of this machine), to state the contract in the file's metadata, and to keep
all weights in the one file.
"""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import onnx
import onnx_ir
import torch
from onnx_ir.passes import common as passes

from edge_runtime.errors import RoomtoneError
from export.deploy import DeployedNetwork

OPSET: Final = 20  # what torch's exporter writes of itself; ONNX Runtime ≥ 1.17 and OpenVINO ≥ 2024.1 read it

_NO_OPERATOR: Final = re.compile(r"No ONNX function found for <OpOverload\(op='([^']+)'")
_USER_LINE: Final = re.compile(r'raised this error:\s+File "([^"]+)", line (\d+).*\n\s*(.+)')
# What torch tells of its own inside, graph by graph, beside the exception that says the same.
_CHATTY: Final = (
    "torch.fx.experimental.symbolic_shapes",
    "torch._dynamo",
    "torch._export.non_strict_utils",
    "torch.export",
)


class GraphError(RoomtoneError):
    """A network that has no ONNX form with any batch; the message names the operator, or the line of its code."""

    exit_code = 15

    def __init__(self, problem: str, *, hint: str) -> None:
        self.problem = problem
        super().__init__(problem, hint=hint)


@dataclass(frozen=True, slots=True)
class GraphFacts:
    """What was written.

    Attributes:
        opset: version of the standard operators.
        size_bytes: of the file.
        operators: operator → how many, most frequent first.
    """

    opset: int
    size_bytes: int
    operators: dict[str, int]


def write_onnx(
    network: DeployedNetwork, path: Path, *, size_px: int, metadata: Mapping[str, str]
) -> GraphFacts:
    """Writes the network as one ONNX file: inputs and outputs by their kinds, any batch.

    Args:
        network: in evaluation mode, on the CPU.
        path: of the file to write.
        size_px: side of a crop.
        metadata: goes into the model's `metadata_props`.

    Raises:
        GraphError: an operator of the network has no ONNX form, its path depends on values, or its batch is fixed.
        onnx.checker.ValidationError: the exporter wrote a graph that contradicts itself.
    """
    program = trace(network, size_px)
    model = program.model
    passes.ClearMetadataAndDocStringPass()(model)
    model.metadata_props.clear()
    model.metadata_props.update(metadata)
    proto = onnx_ir.serde.serialize_model(model)
    onnx.checker.check_model(proto, full_check=True)
    _check_batch(proto)
    data = proto.SerializeToString(deterministic=True)
    path.write_bytes(data)
    operators = Counter(node.op_type for node in proto.graph.node)
    return GraphFacts(proto.opset_import[0].version, len(data), dict(operators.most_common()))


def trace(network: DeployedNetwork, size_px: int) -> torch.onnx.ONNXProgram:
    """The network as torch's exporter writes it, and the traced program that it was made of.

    Raises:
        GraphError: see `write_onnx`.
    """
    # Two rows: the exporter takes an example's batch of one for a constant.
    example = network.made_of(network.example(2, size_px))
    batch = torch.export.Dim("batch", min=1)
    try:
        with _quiet_exporter():
            program = torch.onnx.export(
                network,
                example,
                dynamo=True,
                optimize=True,
                verbose=False,
                opset_version=OPSET,
                input_names=list(network.inputs),
                output_names=list(network.outputs),
                dynamic_shapes=(tuple({0: batch} for _ in example),),
            )
    except torch.onnx.errors.OnnxExporterError as exc:
        raise _explained(exc) from exc
    if program is None:
        raise TypeError("torch.onnx.export returned no program")
    return program


def _explained(error: Exception) -> GraphError:
    """Torch's own account has a page of advice for people who write exporters; this is for who wrote the network."""
    text = str(error)
    if (operator := _NO_OPERATOR.search(text)) is not None:
        return GraphError(
            f"the operator {operator[1]} has no ONNX form",
            hint="write the network without it, or with others",
        )
    if (place := _USER_LINE.search(text)) is not None:
        return GraphError(
            f"its path depends on what it sees: {Path(place[1]).name}, line {place[2]}: {place[3].strip()}",
            hint="an `if` or a loop over values of a tensor cannot be exported: torch.where chooses value by value",
        )
    _, _, summary = text.partition("## Exception summary")
    return GraphError(
        f"torch cannot export it: {(summary or text).strip().partition(chr(10))[0]}",
        hint="the step requires a network whose operators ONNX has, with any batch; roomtone --verbose says more",
    )


def _check_batch(proto: onnx.ModelProto) -> None:
    """Torch falls back to the example's own batch where the network's code insists on one."""
    for tensor in (*proto.graph.input, *proto.graph.output):
        first = tensor.type.tensor_type.shape.dim[0]
        if not first.dim_param:
            raise GraphError(
                f"its code fixes the batch: {tensor.name} came out for {first.dim_value} faces alone",
                hint="take out loops over the batch and reshapes by a constant; -1 stands for the batch",
            )


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keeps away what the exporter says about itself and its user can do nothing about."""
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")

    def is_of_interest(record: logging.LogRecord) -> bool:
        return "torchvision is not installed" not in record.getMessage()

    registration.addFilter(is_of_interest)
    inner = {name: logging.getLogger(name) for name in _CHATTY}
    levels = {name: logger.level for name, logger in inner.items()}
    silent: AbstractContextManager[object] = nullcontext()
    if not logging.getLogger().isEnabledFor(logging.DEBUG):
        for logger in inner.values():
            logger.setLevel(logging.CRITICAL)
        silent = redirect_stderr(io.StringIO())  # torch.export prints the graph as far as it came
    try:
        with silent, warnings.catch_warnings():
            # torch 2.13 warns of its own deprecated parts, of several inputs that share the batch axis, which is meant,
            # and, in several places, of how it traces an LSTM; nothing of it is the fault of a network.
            warnings.simplefilter("ignore")
            yield
    finally:
        registration.removeFilter(is_of_interest)
        for name, logger in inner.items():
            logger.setLevel(levels[name])
