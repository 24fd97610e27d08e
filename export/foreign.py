"""Somebody else's ONNX network: read whole, and held against what its contract says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import onnx
from onnx.external_data_helper import ExternalDataInfo, load_external_data_for_model, uses_external_data

from edge_runtime.errors import RoomtoneError
from export.contract import Contract

_LEAST_OPSET: Final = 13
_STANDARD: Final = ("", "ai.onnx")


class AdoptionError(RoomtoneError):
    """A foreign network that cannot be adopted; the message says which property stands against it."""

    exit_code = 15

    def __init__(self, file: Path, problem: str, *, hint: str = "") -> None:
        self.file, self.problem = file, problem
        super().__init__(f"{file}: {problem}", hint=hint or "export the network again from its own framework")


def read_foreign(file: Path, contract: Contract) -> onnx.ModelProto:
    """The network, checked against what the contract says of it.

    Raises:
        AdoptionError: it is missing, cut off, lacks its external data, uses operators that are not ONNX's own, is too
            old, or takes or gives something else than the contract says.
    """
    if not file.is_file():
        raise AdoptionError(file, "no such file")
    unreadable = f"cannot be read as an ONNX network of {file.stat().st_size} bytes"
    whole = "is it whole? compare size or digest with the place that it comes from"
    try:
        model = onnx.load(file, load_external_data=False)
        missing = _missing_data(file, model)
        if not missing:
            load_external_data_for_model(model, str(file.parent))
    except Exception as exc:
        raise AdoptionError(file, f"{unreadable}: {exc}", hint=whole) from exc
    if missing:
        raise AdoptionError(
            file, f"its external data is missing: {', '.join(missing)}", hint="bring all of its files"
        )
    if not model.graph.node:
        raise AdoptionError(file, unreadable, hint=whole)
    if foreign := _foreign_operators(model.graph):
        raise AdoptionError(file, f"uses operators that are not ONNX's own: {', '.join(foreign)}")
    _check_types(file, model, contract)
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as exc:
        raise AdoptionError(file, f"{unreadable}: {exc}", hint=whole) from exc
    opset = next((entry.version for entry in model.opset_import if entry.domain in _STANDARD), 0)
    if opset < _LEAST_OPSET:
        raise AdoptionError(file, f"has opset {opset}; {_LEAST_OPSET} or later is needed")
    _check_shapes(file, model, contract)
    return model


def _missing_data(file: Path, model: onnx.ModelProto) -> list[str]:
    """Names of the files beside it that hold weights, and are not there."""
    outside = [tensor for tensor in model.graph.initializer if uses_external_data(tensor)]
    names = sorted({ExternalDataInfo(tensor).location for tensor in outside})
    return [name for name in names if not (file.parent / name).is_file()]


def _foreign_operators(graph: onnx.GraphProto) -> list[str]:
    """Also those in the branches and loops of others."""
    found = {f"{node.domain}::{node.op_type}" for node in graph.node if node.domain not in _STANDARD}
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                found.update(_foreign_operators(inner))
    return sorted(found)


def _check_types(file: Path, model: onnx.ModelProto, contract: Contract) -> None:
    """Float32 tensors of a known shape go in and come out."""
    for what, name in (("input", contract.input.tensor), ("output", contract.output.tensor)):
        entry = tensor_of(file, model, what, name)
        kind = entry.type.tensor_type
        if kind.elem_type != onnx.TensorProto.FLOAT:
            found = onnx.TensorProto.DataType.Name(kind.elem_type) if kind.elem_type else "no tensor"
            raise AdoptionError(
                file, f"its {what} {entry.name} is {found}; FLOAT is needed", hint="export it in float32"
            )
        if not kind.HasField("shape"):
            raise AdoptionError(
                file,
                f"its {what} {entry.name} has no shape",
                hint="export it again with sizes, and the batch dynamic",
            )


def _check_shapes(file: Path, model: onnx.ModelProto, contract: Contract) -> None:
    wanted, size = contract.input, contract.input.size_px
    face = [wanted.channels, size, size] if wanted.layout == "NCHW" else [size, size, wanted.channels]
    for what, tensor, expected in (
        ("input", tensor_of(file, model, "input", wanted.tensor), face),
        ("output", tensor_of(file, model, "output", contract.output.tensor), [len(contract.labels)]),
    ):
        shape = [entry.dim_value or None for entry in tensor.type.tensor_type.shape.dim]
        fits = len(shape) == len(expected) + 1 and all(
            found in (None, value) for found, value in zip(shape[1:], expected, strict=True)
        )
        if not fits:
            raise AdoptionError(
                file,
                f"its {what} {tensor.name} is {shape}, the contract wants a batch of {expected}",
                hint="mend the contract: labels, size, channels and layout must be the network's",
            )
        if shape[0] is not None:
            raise AdoptionError(
                file,
                f"its {what} {tensor.name} has a fixed batch of {shape[0]}",
                hint="export it with a dynamic batch",
            )


def tensor_of(file: Path, model: onnx.ModelProto, what: str, name: str | None) -> onnx.ValueInfoProto:
    """The one input or output (`what`) that is meant, or the only one.

    Raises:
        AdoptionError: there are several, or none of this name.
    """
    constants = {constant.name for constant in model.graph.initializer}
    tensors: list[onnx.ValueInfoProto] = [
        entry for entry in getattr(model.graph, what) if entry.name not in constants
    ]
    found = [entry for entry in tensors if name in (None, entry.name)]
    if len(found) != 1:
        names = ", ".join(entry.name for entry in tensors)
        raise AdoptionError(
            file, f"its {what}s are {names}", hint=f'name one of them in the contract: [{what}] tensor = "…"'
        )
    return found[0]
