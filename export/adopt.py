"""Somebody else's ONNX network becomes a bundle: its preprocessing moves into the graph, its labels into the contract.

    foreign.onnx + contract → uint8 crops in, logits out → parity → golden outputs → manifest → opened as a device does

Parity holds the new graph against the original, which is fed by OpenCV and numpy; OpenVINO against ONNX Runtime.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx

from edge_runtime.bundle import Alignment, Architecture, Bundle, Manifest, TensorSpec, open_bundle
from edge_runtime.bundle_card import CARD, render_card
from edge_runtime.bundle_writing import (
    bundle_to_be,
    check_target,
    digests,
    new_bundle,
    write_golden,
    write_manifest,
)
from edge_runtime.faces.alignment import TEMPLATES
from edge_runtime.golden import GOLDEN, Golden
from export.contract import Contract, read_contract
from export.foreign import read_foreign, tensor_of
from export.foreign_graph import wrap, write_simplified
from export.foreign_parity import check_adopted_parity, run_onnx
from export.golden import golden_crops, golden_tolerances
from export.parity import ParityResult
from export.pipeline import MODEL_FILE, VARIANTS, VariantCheck, probe_crops, real_crops, verify_variants
from export.provenance import source_commit
from export.taxonomy import labels_of


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
    model = read_foreign(file, contract)
    probes = probe_crops(template) | real_crops(data, template)
    with new_bundle(out, force=force) as folder:
        on_step("graph")
        network = folder / MODEL_FILE
        write_simplified(
            file, wrap(file, model, contract, template.size_px), network, _metadata(file, contract)
        )
        on_step("parity")
        parity = check_adopted_parity(file, model, contract, network, probes)
        on_step("golden")
        crops = golden_crops(template)
        logits = run_onnx(network, crops)
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
            provenance=_provenance(file, contract_file, contract),
        )
        (folder / CARD).write_text(render_card(manifest), encoding="utf-8")
        manifest = manifest.model_copy(update={"files": digests(folder)})
        on_step("verify")
        variants = verify_variants(bundle_to_be(folder, manifest, golden))
        write_manifest(folder, manifest)  # last: without it the folder does not open
    return Adoption(open_bundle(out), parity, variants)


def _architecture(file: Path, model: onnx.ModelProto, contract: Contract) -> Architecture:
    """Parameters, and multiply–adds of convolutions and matrix products, counted in the graph."""
    sizes = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    entry = tensor_of(file, model, "input", contract.input.tensor)
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


def _provenance(file: Path, contract_file: Path, contract: Contract) -> dict[str, str]:
    facts = {
        "trained_on": contract.trained_on,
        "export_command": f"roomtone export adopt {file.name} --contract {contract_file.name} --out bundles/raw",
        "adopted_from": file.name,
        "adopted_sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "contract": contract.model_dump_json(),
    }
    facts |= {tool: version(tool) for tool in ("roomtone", "onnx", "onnxruntime", "openvino", "numpy")}
    if (commit := source_commit()) is not None:
        facts["commit"] = commit
    return facts
