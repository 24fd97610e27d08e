"""What two papers share: the residual backbone, targets of sequences, distances to class centres, initialisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Unit = Callable[[int], nn.Module]


class NetworkOutput(NamedTuple):
    """What every single-image network gives."""

    logits: Tensor  # (B, num_classes)
    features: Tensor  # (B, C), what the classifier sees; a second head may learn from it


class SequenceTargets(NamedTuple):
    """What a network of sequences is to learn (P1, P3)."""

    labels: Tensor  # (N, num_classes) distributions, of the newest frame's state
    frame_labels: Tensor  # (N, M, num_classes) distributions, of each frame's
    valence_arousal: Tensor  # (N, 2) in [−1, 1], of the newest frame's state


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with batch norm and a shortcut (He et al. 2016, Fig. 5 left).

    Args:
        channels_in, channels_out, stride: of the block.
        unit: made for the channels of the branch, and applied to it before the addition: attention or shrinkage.
        inner: channels between the two convolutions; 0: as many as come out.
    """

    def __init__(
        self, channels_in: int, channels_out: int, stride: int = 1, unit: Unit = nn.Identity, inner: int = 0
    ) -> None:
        super().__init__()
        inner = inner or channels_out
        self.conv1 = nn.Conv2d(channels_in, inner, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, channels_out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.unit = unit(channels_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C', H/stride, W/stride)."""
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.unit(self.norm2(self.conv2(y))) + self.shortcut(x))


class ResNet18(nn.Sequential):
    """ResNet18 without its classifier: stem, then four stages of two blocks.

    Args:
        channels: of the input; 1 for grey crops.
        width: channels of the first stage; 64 in the paper, the later stages have 2, 4 and 8 times as many.
        last_stride: stride of the fourth stage; 1 keeps twice the resolution for attention that looks at
            places.
        unit: of every block.
        last_inner: channels between the convolutions of the fourth stage, which holds three quarters of all weights;
            0: as many as come out.
    """

    def __init__(
        self,
        channels: int = 1,
        width: int = 64,
        last_stride: int = 2,
        unit: Unit = nn.Identity,
        last_inner: int = 0,
    ) -> None:
        stem = [
            nn.Conv2d(channels, width, 7, 2, 3, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
        ]
        stages: list[nn.Module] = []
        previous = width
        for factor, stride, inner in ((1, 1, 0), (2, 2, 0), (4, 2, 0), (8, last_stride, last_inner)):
            stages += [
                BasicBlock(previous, factor * width, stride, unit, inner),
                BasicBlock(factor * width, factor * width, 1, unit, inner),
            ]
            previous = factor * width
        super().__init__(*stem, *stages)
        self.channels_out = previous


def centre_distances(features: Tensor, labels: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """What P4 eq. 10 and P5 §5.1 both weigh against each other.

    Args:
        features: (B, C) float.
        labels: (B,) int64.
        centres: (num_classes, C) float.

    Returns:
        (B,) squared distances of the features to their own class's centre, and the mean squared distance of the
        centres from their mean, a scalar.
    """
    own = (features - centres[labels]).square().sum(dim=1)
    spread = (centres - centres.mean(dim=0)).square().sum(dim=1).mean()
    return own, spread


@torch.no_grad()
def initialise(module: nn.Module, *, closed_branches: bool = True) -> None:
    """He initialisation for convolutions and linear layers; each residual branch starts at zero.

    A branch that starts at zero makes the network shallow at first, which lets it take a large learning rate.

    Args:
        module: the network.
        closed_branches: False where a unit passes no gradient at zero, which would keep its branch there.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(part, nn.Linear):
            nn.init.kaiming_normal_(part.weight)
            nn.init.zeros_(part.bias)
    for part in module.modules():
        if closed_branches and isinstance(part, BasicBlock):
            nn.init.zeros_(part.norm2.weight)
