"""From a deployed network to one ONNX file: simplified, checked, the same bytes every time.

Torch's exporter is used in its current form (`dynamo=True`). Its optimiser already folds constants, and batch
norm into the convolution or linear layer before it. What is left here is to take out what it writes for
debugging (stack traces with paths of this machine), to state the contract in the file's metadata, and to keep
all weights in the one file.
"""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnx_ir
import torch
from onnx_ir.passes import common as passes

from export.deploy import DeployedNetwork

OPSET: Final = 20  # what torch's exporter writes of itself; ONNX Runtime ≥ 1.17 and OpenVINO ≥ 2024.1 read it


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
        torch.onnx.OnnxExporterError: an operator of the network has no ONNX form.
        onnx.checker.ValidationError: the exporter wrote a graph that contradicts itself.
    """
    # Two rows: the exporter takes an example's batch of one for a constant.
    example = network.made_of(np.zeros((2, size_px, size_px), np.uint8))
    batch = torch.export.Dim("batch", min=1)
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
    if program is None:
        raise TypeError("torch.onnx.export returned no program")
    model = program.model
    passes.ClearMetadataAndDocStringPass()(model)
    model.metadata_props.clear()
    model.metadata_props.update(metadata)
    proto = onnx_ir.serde.serialize_model(model)
    onnx.checker.check_model(proto, full_check=True)
    data = proto.SerializeToString(deterministic=True)
    path.write_bytes(data)
    operators = Counter(node.op_type for node in proto.graph.node)
    return GraphFacts(proto.opset_import[0].version, len(data), dict(operators.most_common()))


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keeps away what the exporter says about itself and its user can do nothing about."""
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")

    def is_of_interest(record: logging.LogRecord) -> bool:
        return "torchvision is not installed" not in record.getMessage()

    registration.addFilter(is_of_interest)
    try:
        with warnings.catch_warnings():
            # torch 2.13 copies its own deprecated LeafSpec while it decomposes a program.
            warnings.filterwarnings(
                "ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning
            )
            # Several inputs share the batch axis, which is what is wanted.
            warnings.filterwarnings("ignore", r"# The axis name: batch will not be used", UserWarning)
            yield
    finally:
        registration.removeFilter(is_of_interest)
