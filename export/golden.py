"""Golden outputs: what the exported network must give on any CPU, before a device trusts it."""

from __future__ import annotations

from typing import Final

import numpy as np

from edge_runtime.faces.alignment import AlignmentTemplate
from edge_runtime.features import GIVEN
from edge_runtime.frames.frame import Image
from edge_runtime.golden import Golden
from edge_runtime.inference.engine import Logits
from export.deploy import DeployedNetwork
from export.deploy_sequence import WholeSequence, dissolves
from export.parity import torch_logits
from export.probes import face_crops, noise_crops
from export.tolerances import GOLDEN_BF16_OF_LARGEST, GOLDEN_FP32

_FACES, _NOISE = 7, 1  # one of each expression
_SEED: Final = 96
_SEQUENCES: Final = 4  # each has frames enough


def make_golden(network: DeployedNetwork, template: AlignmentTemplate) -> Golden:
    """`golden_crops` with torch's own float32 logits."""
    crops = golden_crops(template)
    logits = torch_logits(network, crops)
    return Golden(crops, logits, golden_tolerances(logits))


def make_sequence_golden(network: WholeSequence, template: AlignmentTemplate) -> Golden:
    """Four sequences with the logits of torch's own full computation, and stand-ins of what no crop shows."""
    crops = golden_crops(template)
    faces = dissolves(crops[:_FACES], network.frames, _SEQUENCES - 1)
    noise = dissolves(crops[::-1], network.frames, 1)  # noise that becomes a face
    sequences = np.concatenate([faces, noise])
    fed = network.feed_of(sequences)
    logits = torch_logits(network, sequences)
    given = {kind: rows for kind, rows in fed.items() if kind in GIVEN}
    return Golden(sequences, logits, golden_tolerances(logits), given)


def golden_crops(template: AlignmentTemplate) -> Image:
    """Eight crops, a rendered face of each expression and one of noise: (8, size, size) uint8."""
    rng = np.random.default_rng(_SEED)
    return np.concatenate([face_crops(_FACES, template, rng), noise_crops(_NOISE, template, rng)])


def golden_tolerances(logits: Logits) -> dict[str, float]:
    """Precision → how far a logit may be from these on another CPU."""
    return {"fp32": GOLDEN_FP32, "bf16": round(GOLDEN_BF16_OF_LARGEST * float(np.abs(logits).max()), 4)}
