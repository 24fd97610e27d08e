"""The deployed form of a network: uint8 crops in, logits out, preprocessing inside the graph.

No backend can then disagree about preprocessing, and nothing is converted twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

from edge_runtime.features import make_inputs
from edge_runtime.frames.frame import Image

# Of a histogram-equalised crop: uniform over 0 … 255, so mean ½ and standard deviation 1/√12 of the range.
CROP_MEAN: Final = 0.5
CROP_STD: Final = 0.2887
# Which columns of a network's `dimensions` (valence, arousal, dominance) are what a bundle calls so.
OUTPUT_COLUMNS: Final = {"valence_arousal": slice(0, 2), "dominance": slice(2, 3)}


def normalise(crops_uint8: Tensor) -> Tensor:
    """(B, 96, 96) uint8 → (B, 1, 96, 96) float32 with mean about 0 and standard deviation about 1."""
    return (crops_uint8.float().unsqueeze(1) / 255.0 - CROP_MEAN) / CROP_STD


def network_inputs(kinds: Sequence[str], crops: Image) -> list[Tensor]:
    """What a network is fed for (n, size, size) uint8 crops: normalised crops, features as a device makes them."""
    arrays = make_inputs([(kind, kind) for kind in kinds], crops)
    tensors = {kind: torch.from_numpy(array) for kind, array in arrays.items()}
    return [normalise(tensor) if kind == "crop" else tensor for kind, tensor in tensors.items()]


class DeployedNetwork(nn.Module):
    """Wraps a trained network for the device; the network itself knows nothing of ONNX.

    Args:
        network: trained.
        inputs: kinds of what it takes, in order; each is the name of its tensor too.
        outputs: kinds of what it gives, a subset of `OUTPUT_COLUMNS` beside the logits; likewise.
    """

    def __init__(
        self,
        network: nn.Module,
        inputs: tuple[str, ...] = ("crop",),
        outputs: tuple[str, ...] = ("logits",),
    ) -> None:
        super().__init__()
        self.network = network.eval()
        self.inputs, self.outputs = inputs, outputs

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """(B, 96, 96) uint8 aligned crops, and (B, ·) float32 features → (B, num_classes) float32 logits, and so on."""
        values = (
            normalise(tensor) if kind == "crop" else tensor
            for kind, tensor in zip(self.inputs, inputs, strict=True)
        )
        output = self.network(*values)
        return tuple(
            output.logits if kind == "logits" else output.dimensions[:, OUTPUT_COLUMNS[kind]]
            for kind in self.outputs
        )

    def made_of(self, crops: Image) -> tuple[Tensor, ...]:
        """What it is fed for (n, size, size) uint8 crops, made as a device makes it."""
        wanted = [(kind, kind) for kind in self.inputs]
        return tuple(torch.from_numpy(array) for array in make_inputs(wanted, crops).values())
