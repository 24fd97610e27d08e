"""Exporting the landmark network, by the same steps and with the same proofs as a classifier.

checkpoint → deployed network → ONNX file → parity → golden outputs → manifest → opened as a device opens it
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
from torch import Tensor

from edge_runtime.bundle import Alignment, Architecture, Variant
from edge_runtime.bundle_writing import check_target, digests, new_bundle, write_golden
from edge_runtime.faces.landmarks import LANDMARK_TEMPLATE
from edge_runtime.golden import GOLDEN
from edge_runtime.inference.landmark_engine import golden_distance, load_regressor
from edge_runtime.landmark_bundle import (
    CROP,
    LANDMARKS_MANIFEST,
    LOG_ERROR,
    POINTS,
    LandmarkBundle,
    LandmarkManifest,
    open_landmarks,
)
from edge_runtime.markup import MARKS
from export.architectures.landmark_net import LandmarkNetConfig
from export.checkpoints import CheckpointError, load_checkpoint, load_weights
from export.cost import measure_cost
from export.deploy import DeployedNetwork, check_deployed, normalise
from export.golden import make_golden
from export.onnx_graph import GraphFacts, write_onnx
from export.parity import ParityResult, check_parity
from export.probes import face_crops
from export.provenance import TOOLS, source_commit
from export.training.landmark_trainer import LandmarkRecipe

MODEL_FILE: Final = "model.fp32.onnx"
ARCHITECTURE: Final = "landmark_net"
TRAINED_ON: Final = (
    "landmarks68.npz, training split by person: frames of YouTube Faces (Wolf et al. 2011, research use) whose 68 "
    "points an automatic tool set; they are rough on profiles and under hats. Beside them rendered faces of the "
    "simulated classroom. None of the photographs is part of this network."
)
_VARIANTS: Final = (
    Variant(backend="onnxruntime", precision="fp32", file=MODEL_FILE),
    Variant(backend="openvino", precision="fp32", file=MODEL_FILE),
)
_PROBES, _PROBE_SEED = 16, 5


class DeployedLandmarks(DeployedNetwork):
    """uint8 cuts in; points and error estimate out."""

    def __init__(self, network: Any) -> None:
        super().__init__(network, (CROP,), (POINTS, LOG_ERROR))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """(B, 64, 64) uint8 cuts → (B, 136) and (B, 1) float32."""
        output = self.network(normalise(inputs[0]))
        return output.points, output.log_error


@dataclass(frozen=True, slots=True)
class LandmarkExport:
    """A landmark network that opens, and what was found on the way."""

    bundle: LandmarkBundle
    graph: GraphFacts
    parity: list[ParityResult]
    golden_differences: dict[str, float]


def export_landmarks(
    checkpoint: Path,
    out: Path,
    *,
    version_: str = "0.1.0",
    force: bool = False,
    on_step: Callable[[str], None] = lambda step: None,
) -> LandmarkExport:
    """Makes the folder of a landmark network.

    Args:
        checkpoint: of `roomtone train landmarks`.
        out: the folder to be.
        version_: of the network.
        force: replaces a landmark network that is there.
        on_step: called with the name of each step.

    Raises:
        BundleError: there is something at `out` already.
        CheckpointError: the checkpoint cannot be read, or is another network's.
        NetworkError, GraphError, ParityError, BundleInaccurateError: a proof fails.
    """
    check_target(out, force=force, manifest=LANDMARKS_MANIFEST)
    on_step("checkpoint")
    network, provenance = _read(checkpoint)
    on_step("deploy")
    size = LANDMARK_TEMPLATE.size_px
    crops = face_crops(_PROBES, LANDMARK_TEMPLATE, np.random.default_rng(_PROBE_SEED))
    noise = np.random.default_rng(_PROBE_SEED).integers(0, 256, (_PROBES, size, size), np.uint8)
    check_deployed(network, ARCHITECTURE, crops[:3], 2 * MARKS)
    cost = measure_cost(network, *network.made_of(crops[:1]))
    with new_bundle(out, force=force, manifest=LANDMARKS_MANIFEST) as folder:
        on_step("graph")
        metadata = {"architecture": ARCHITECTURE, "alignment": f"{LANDMARK_TEMPLATE.name}, {size} px"}
        graph = write_onnx(network, folder / MODEL_FILE, size_px=size, metadata=metadata)
        on_step("parity")
        parity = check_parity(network, folder / MODEL_FILE, {"rendered faces": crops, "noise": noise})
        on_step("golden")
        golden = make_golden(network, LANDMARK_TEMPLATE)
        write_golden(golden, folder / GOLDEN)
        on_step("manifest")
        manifest = LandmarkManifest(
            schema_id="roomtone-landmarks/1",
            version=version_,
            architecture=Architecture(
                name=ARCHITECTURE, parameters=cost.parameters, multiply_adds=cost.multiply_adds
            ),
            alignment=Alignment(
                name=LANDMARK_TEMPLATE.name,
                size_px=size,
                pupil_x_px=LANDMARK_TEMPLATE.pupil_x_px,
                pupil_y_px=LANDMARK_TEMPLATE.pupil_y_px,
            ),
            variants=_VARIANTS,
            files=digests(folder),
            provenance=provenance,
        )
        on_step("verify")
        found = LandmarkBundle(folder, manifest, golden)
        differences = {
            f"{variant.backend} {variant.precision}": golden_distance(
                load_regressor(found, variant), found, variant
            )
            for variant in _VARIANTS
        }
        (folder / LANDMARKS_MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    return LandmarkExport(open_landmarks(out), graph, parity, differences)


def _read(path: Path) -> tuple[DeployedLandmarks, dict[str, str]]:
    checkpoint = load_checkpoint(path)
    try:
        recipe = LandmarkRecipe.from_json(checkpoint.facts["recipe"])
    except (KeyError, TypeError) as exc:
        raise CheckpointError(
            path, "is no landmark network's", hint="`roomtone train landmarks` makes one"
        ) from exc
    network = LandmarkNetConfig().network()
    load_weights(network, checkpoint, path)
    facts = {
        "trained_on": TRAINED_ON,
        "recipe": json.dumps(recipe.to_json(), sort_keys=True),
        "epochs": str(checkpoint.facts.get("epochs_done", "not recorded")),
        "checkpoint_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "trained_with": f"torch {checkpoint.facts.get('torch', 'not recorded')}",
    }
    facts |= {tool: version(tool) for tool in TOOLS}
    if (commit := source_commit()) is not None:
        facts["commit"] = commit
    return DeployedLandmarks(network).eval(), facts
