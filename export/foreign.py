"""Somebody else's ONNX network: read whole, and held against what its contract says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import onnx

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
    try:
        model = onnx.load(file)
        onnx.checker.check_model(model, full_check=True)
    except FileNotFoundError as exc:
        raise AdoptionError(
            file, f"its external data is missing: {exc.filename}", hint="bring all files of the network"
        ) from exc
    except Exception as exc:
        foreign = _foreign_operators(model) if "model" in locals() else []
        problem = (
            f"uses operators that are not ONNX's own: {', '.join(foreign)}"
            if foreign
            else f"cannot be read as an ONNX network of {file.stat().st_size} bytes: {exc}"
        )
        hint = "" if foreign else "is it whole? compare size or digest with the place that it comes from"
        raise AdoptionError(file, problem, hint=hint) from exc
    if foreign := _foreign_operators(model):
        raise AdoptionError(file, f"uses operators that are not ONNX's own: {', '.join(foreign)}")
    opset = next((entry.version for entry in model.opset_import if entry.domain in _STANDARD), 0)
    if opset < _LEAST_OPSET:
        raise AdoptionError(file, f"has opset {opset}; {_LEAST_OPSET} or later is needed")
    _check_shapes(file, model, contract)
    return model


def _foreign_operators(model: onnx.ModelProto) -> list[str]:
    return sorted(
        {f"{node.domain}::{node.op_type}" for node in model.graph.node if node.domain not in _STANDARD}
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
