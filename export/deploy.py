"""The deployed form of a network: uint8 crops in, logits out, preprocessing inside the graph.

No backend can then disagree about preprocessing, and nothing is converted twice.
"""

from __future__ import annotations

from typing import Final

from torch import Tensor, nn

# Of a histogram-equalised crop: uniform over 0 … 255, so mean ½ and standard deviation 1/√12 of the range.
CROP_MEAN: Final = 0.5
CROP_STD: Final = 0.2887


def normalise(crops_uint8: Tensor) -> Tensor:
    """(B, 96, 96) uint8 → (B, 1, 96, 96) float32 with mean about 0 and standard deviation about 1."""
    return (crops_uint8.float().unsqueeze(1) / 255.0 - CROP_MEAN) / CROP_STD


class DeployedNetwork(nn.Module):
    """Wraps a trained network for the device; the network itself knows nothing of ONNX."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.eval()

    def forward(self, crop: Tensor) -> Tensor:
        """(B, 96, 96) uint8 aligned crops → (B, num_classes) float32 logits."""
        logits: Tensor = self.network(normalise(crop)).logits
        return logits
