"""Blocks that two papers share: the residual backbone (P2, P4 and P5 all start from ResNet18)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class BasicBlock(nn.Module):
    """Two 3×3 convolutions with batch norm and a shortcut (He et al. 2016, Fig. 5 left)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C', H/stride, W/stride)."""
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class ResNet18(nn.Sequential):
    """ResNet18 without its classifier: stem, then four stages of two blocks.

    Args:
        channels: of the input; 1 for grey crops.
        width: channels of the first stage; 64 in the paper, the later stages have 2, 4 and 8 times as many.
        last_stride: stride of the fourth stage; 1 keeps twice the resolution for attention that looks at
            places.
    """

    def __init__(self, channels: int = 1, width: int = 64, last_stride: int = 2) -> None:
        stem = [
            nn.Conv2d(channels, width, 7, 2, 3, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
        ]
        stages: list[nn.Module] = []
        previous = width
        for factor, stride in ((1, 1), (2, 2), (4, 2), (8, last_stride)):
            stages += [
                BasicBlock(previous, factor * width, stride),
                BasicBlock(factor * width, factor * width),
            ]
            previous = factor * width
        super().__init__(*stem, *stages)
        self.channels_out = previous


@torch.no_grad()
def initialise(module: nn.Module) -> None:
    """He initialisation for convolutions and linear layers; each residual branch starts at zero.

    A branch that starts at zero makes the network shallow at first, which lets it take a large learning rate.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(part, nn.Linear):
            nn.init.kaiming_normal_(part.weight)
            nn.init.zeros_(part.bias)
    for part in module.modules():
        if isinstance(part, BasicBlock):
            nn.init.zeros_(part.norm2.weight)
