"""Somebody else's ONNX network becomes a bundle: its preprocessing moves into the graph, its labels into the contract.

    foreign.onnx + contract → uint8 crops in, logits out → parity → golden outputs → manifest → opened as a device does

Parity holds the new graph against the original, which is fed by OpenCV and numpy; OpenVINO against ONNX Runtime.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import openvino
from onnx import TensorProto, compose, helper, numpy_helper

from edge_runtime.bundle import Alignment, Architecture, Bundle, Golden, Manifest, TensorSpec, open_bundle
from edge_runtime.bundle_card import CARD, render_card
from edge_runtime.bundle_writing import (
    GOLDEN,
    bundle_to_be,
    check_target,
    digests,
    new_bundle,
    write_golden,
    write_manifest,
)
from edge_runtime.errors import RoomtoneError
from edge_runtime.faces.alignment import TEMPLATES
from edge_runtime.frames.frame import Image
from edge_runtime.inference.engine import Logits
from export.contract import LEAST_PROBABILITY, Contract, InputContract, read_contract
from export.golden import golden_crops, golden_tolerances
from export.parity import BATCHES, ParityResult, compare
from export.pipeline import MODEL_FILE, VARIANTS, VariantCheck, probe_crops, real_crops, verify_variants
from export.provenance import source_commit
from export.taxonomy import labels_of
from export.tolerances import ADOPTED

_LEAST_OPSET: Final = 13
_STANDARD: Final = ("", "ai.onnx")
_PREFIX: Final = "adopted/"


class AdoptionError(RoomtoneError):
    """A foreign network that cannot be adopted; the message says which property stands against it."""

    exit_code = 15

    def __init__(self, file: Path, problem: str, *, hint: str = "") -> None:
        self.file, self.problem = file, problem
        super().__init__(f"{file}: {problem}", hint=hint or "export the network again from its own framework")


@dataclass(frozen=True, slots=True)
class Adoption:
    """A bundle that opens, and what was found on the way."""

    bundle: Bundle
    parity: list[ParityResult]
    variants: list[VariantCheck]


def adopt(
    file: Path,
    contract_file: Path,
    out: Path,
    *,
    force: bool = False,
    data: Path | None = None,
    on_step: Callable[[str], None] = lambda step: None,
) -> Adoption:
    """Makes a bundle of a foreign network.

    Args:
        file: ONNX, opset 13 or later, standard operators, any batch.
        contract_file: see `export.contract`.
        out: the folder to be.
        force: replaces a bundle that is there.
        data: labelled faces on which the formats are compared too.
        on_step: called with the name of each step.

    Raises:
        BundleError: something is at `out` already.
        ConfigurationError: the contract has faults.
        AdoptionError: the network cannot be adopted, or does not fit its contract.
        ParityError: an engine gives other logits than the original network.
    """
    check_target(out, force=force)
    on_step("contract")
    contract = read_contract(contract_file)
    labels = labels_of(contract.labels, contract_file)
    template = TEMPLATES[contract.template]
    on_step("network")
    model = _read(file, contract)
    probes = probe_crops(template) | real_crops(data, template)
    with new_bundle(out, force=force) as folder:
        on_step("graph")
        network = folder / MODEL_FILE
        _write_simplified(
            file, _wrap(file, model, contract, template.size_px), network, _metadata(file, contract)
        )
        on_step("parity")
        parity = _check_parity(file, model, contract, network, probes)
        on_step("golden")
        crops = golden_crops(template)
        logits = _run(network, {"crop": crops})
        golden = Golden(crops, logits, golden_tolerances(logits))
        write_golden(golden, folder / GOLDEN)
        on_step("manifest")
        manifest = Manifest(
            schema_id="roomtone-bundle/1",
            name=contract.name,
            version=contract.version,
            architecture=_architecture(file, model, contract),
            labels=labels,
            inputs=(TensorSpec(kind="crop", tensor="crop", dtype="uint8", shape=(template.size_px,) * 2),),
            outputs=(TensorSpec(kind="logits", tensor="logits", dtype="float32", shape=(len(labels),)),),
            alignment=Alignment(
                name=template.name,
                size_px=template.size_px,
                pupil_x_px=template.pupil_x_px,
                pupil_y_px=template.pupil_y_px,
            ),
            readable_width_px=contract.readable_width_px,
            temperature=1.0,
            variants=VARIANTS,
            files=digests(folder),
            provenance=_provenance(file, contract),
        )
        (folder / CARD).write_text(render_card(manifest), encoding="utf-8")
        manifest = manifest.model_copy(update={"files": digests(folder)})
        on_step("verify")
        variants = verify_variants(bundle_to_be(folder, manifest, golden))
        write_manifest(folder, manifest)  # last: without it the folder does not open
    return Adoption(open_bundle(out), parity, variants)


def _read(file: Path, contract: Contract) -> onnx.ModelProto:
    """The network, checked against what the contract says of it."""
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
        ("input", _tensor(file, model, "input", wanted.tensor), face),
        ("output", _tensor(file, model, "output", contract.output.tensor), [len(contract.labels)]),
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


def _tensor(file: Path, model: onnx.ModelProto, what: str, name: str | None) -> onnx.ValueInfoProto:
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


def _wrap(file: Path, model: onnx.ModelProto, contract: Contract, side: int) -> onnx.ModelProto:
    """Uint8 crops → what the network wants → the network → logits."""
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
        nodes.append(helper.make_node("Transpose", ["channels"], ["face"], "to_nhwc", perm=[0, 2, 3, 1]))
    else:
        nodes.append(helper.make_node("Identity", ["channels"], ["face"], "as_it_is"))
    face: list[Any] = ["batch", put.size_px, put.size_px]
    face.insert(1 if put.layout == "NCHW" else 3, put.channels)
    crop: list[Any] = ["batch", side, side]
    before = _model(nodes, constants, ("crop", TensorProto.UINT8, crop), ("face", face), opsets)
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
    network = compose.add_prefix(model, _PREFIX)
    for part in (before, after):
        part.ir_version = network.ir_version
    entry = _PREFIX + _tensor(file, model, "input", put.tensor).name
    result = _PREFIX + _tensor(file, model, "output", given.tensor).name
    whole = compose.merge_models(before, network, [("face", entry)], outputs=[result])
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


def _write_simplified(file: Path, model: onnx.ModelProto, out: Path, metadata: dict[str, str]) -> None:
    """Folds constants and batch norms, by ONNX Runtime's basic level, which writes standard operators only."""
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


def _check_parity(
    file: Path, model: onnx.ModelProto, contract: Contract, network: Path, probes: Mapping[str, Image]
) -> list[ParityResult]:
    with tempfile.TemporaryDirectory(prefix="roomtone-adopt-") as folder:
        original = Path(folder) / "original.onnx"
        onnx.save(model, original)
        entry = _tensor(file, model, "input", contract.input.tensor).name
        result = _tensor(file, model, "output", contract.output.tensor).name
        session = ort.InferenceSession(original, providers=["CPUExecutionProvider"])
        compiled = openvino.Core().compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

        def of_original(crops: Image) -> Logits:
            (values,) = session.run([result], {entry: prepare(crops, contract.input)})
            if (fault := contract.output.fault_of(values)) is not None:
                raise AdoptionError(
                    file, fault, hint="mend [output] values of the contract: logits or probabilities"
                )
            is_logits = contract.output.values == "logits"
            return np.asarray(values if is_logits else np.log(np.maximum(values, LEAST_PROBABILITY)))

        hops: tuple[tuple[str, Callable[[Image], Logits], Callable[[Image], Logits]], ...] = (
            ("original → onnxruntime", of_original, lambda crops: _run(network, {"crop": crops})),
            (
                "onnxruntime → openvino",
                lambda crops: _run(network, {"crop": crops}),
                lambda crops: np.array(compiled({"crop": crops})["logits"], np.float32),
            ),
        )
        return [
            ParityResult(
                hop,
                data,
                max(compare(hop, data, before, after, crops, batch, ADOPTED) for batch in BATCHES),
            )
            for hop, before, after in hops
            for data, crops in probes.items()
        ]


def prepare(crops: Image, wanted: InputContract) -> npt.NDArray[np.float32]:
    """What the original network wants, made by OpenCV and numpy: the other way to what the graph does.

    Args:
        crops: (N, size, size) uint8.
        wanted: of the contract.

    Returns:
        (N, C, S, S) float32, or (N, S, S, C).
    """
    side = (wanted.size_px, wanted.size_px)
    faces = np.stack(
        [cv2.resize(crop.astype(np.float32), side, interpolation=cv2.INTER_LINEAR) for crop in crops]
    )
    planes = np.repeat(faces[:, np.newaxis], wanted.channels, axis=1)
    for channel, (scale, offset) in enumerate(
        zip(*(value.ravel() for value in wanted.per_channel()), strict=True)
    ):
        planes[:, channel] = scale * planes[:, channel] + offset
    return np.ascontiguousarray(planes if wanted.layout == "NCHW" else np.moveaxis(planes, 1, -1))


def _run(network: Path, inputs: dict[str, Image]) -> Logits:
    session = ort.InferenceSession(network, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], inputs)
    return np.asarray(logits, np.float32)


def _architecture(file: Path, model: onnx.ModelProto, contract: Contract) -> Architecture:
    """Parameters, and multiply–adds of convolutions and matrix products, counted in the graph."""
    sizes = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    entry = _tensor(file, model, "input", contract.input.tensor)
    one = onnx.ModelProto()
    one.CopyFrom(model)
    for value in one.graph.input:
        if value.name == entry.name:
            value.type.tensor_type.shape.dim[0].dim_value = 1
    inferred = onnx.shape_inference.infer_shapes(one, data_prop=True).graph
    shapes = {
        value.name: [entry.dim_value for entry in value.type.tensor_type.shape.dim]
        for value in (*inferred.value_info, *inferred.output)
    }
    counted = 0
    for node in model.graph.node:
        weights = next((sizes[name] for name in node.input if len(sizes.get(name, ())) >= 2), None)
        if weights is None:
            continue
        if node.op_type == "Conv":
            counted += int(np.prod(shapes.get(node.output[0], [1])[2:]) * np.prod(weights))
        elif node.op_type in ("Gemm", "MatMul"):
            counted += int(np.prod(weights))
    return Architecture(
        name=contract.name,
        parameters=int(sum(np.prod(size) for size in sizes.values())),
        multiply_adds=max(counted, 1),
    )


def _metadata(file: Path, contract: Contract) -> dict[str, str]:
    """What the network file says of itself, wherever it is found without its bundle."""
    return {
        "name": contract.name,
        "version": contract.version,
        "labels": " ".join(contract.labels),
        "adopted_sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
    }


def _provenance(file: Path, contract: Contract) -> dict[str, str]:
    facts = {
        "trained_on": contract.trained_on,
        "export_command": f"roomtone export adopt {file.name} --contract {contract.name}.toml --out bundles/raw",
        "adopted_from": file.name,
        "adopted_sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "contract": contract.model_dump_json(),
    }
    facts |= {tool: version(tool) for tool in ("roomtone", "onnx", "onnxruntime", "openvino", "numpy")}
    if (commit := source_commit()) is not None:
        facts["commit"] = commit
    return facts
