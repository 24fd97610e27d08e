"""The landmark network: 68 points of one face, for P1 §3.1, which takes them from elsewhere and names no network.

    cut (64×64, grey) → stem → four residual stages to 4×4 → linear → 136 coordinates and one error estimate

Sized for the device: 18 M multiply–adds a cut, three cuts a face (`edge_runtime.faces.landmarks`). The linear layer
sees all 16 places of the last map, so each point may be read where it lies, and the points together keep the shape of a
face. Beside them the network tells how large its error is likely to be, which is what the device marks unknown points
by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from export.architectures.layers import BasicBlock, initialise

_COORDINATES = 2 * 68


@dataclass(frozen=True, slots=True)
class LandmarkNetConfig:
    """Sizes and loss weights; all are our own."""

    width: int = 24  # channels of the stem
    stages: tuple[int, ...] = (
        32,
        64,
        64,
        96,
        96,
    )  # channels of the blocks; a wider one halves the resolution
    size_px: int = 64  # side of the cut
    wing_reach: float = 0.15  # Feng et al. 2018, eq. 5: w …
    wing_curvature: float = 0.03  # … and ε, both in distances of the eye corners
    error_weight: float = 0.05

    def network(self) -> LandmarkNet:
        """With fresh weights."""
        return LandmarkNet(self)


class LandmarkOutput(NamedTuple):
    """Points from −1 to 1 across the cut, and what they may be wrong by."""

    points: Tensor  # (B, 136)
    log_error: Tensor  # (B, 1), of the mean error by the distance of the outer eye corners


class LandmarkNet(nn.Module):
    """The network; knows nothing of ONNX or of uint8."""

    def __init__(self, config: LandmarkNetConfig) -> None:
        super().__init__()
        self.config = config
        blocks: list[nn.Module] = []
        before, side = config.width, config.size_px // 2
        for channels in config.stages:
            stride = 2 if channels != before else 1
            blocks.append(BasicBlock(before, channels, stride))
            before, side = channels, side // stride
        self.stem = nn.Sequential(
            nn.Conv2d(1, config.width, 3, 2, 1, bias=False), nn.BatchNorm2d(config.width), nn.ReLU()
        )
        self.blocks = nn.Sequential(*blocks)
        self.points = nn.Linear(before * side * side, _COORDINATES)
        self.log_error = nn.Linear(before, 1)
        initialise(self)
        nn.init.normal_(self.points.weight, std=1e-3)

    def forward(self, cuts: Tensor) -> LandmarkOutput:
        """(B, 1, 64, 64) normalised cuts → points and error estimate."""
        maps = self.blocks(self.stem(cuts))
        return LandmarkOutput(self.points(maps.flatten(1)), self.log_error(maps.mean(dim=(2, 3))))

    @torch.no_grad()
    def start_at(self, mean_points: Tensor) -> None:
        """Begins with the mean face: (136,)."""
        self.points.bias.copy_(mean_points)


class LandmarkObjective(nn.Module):
    """Wing loss of the points (Feng et al. 2018 §4.2), and how far the error estimate is off.

    Wing loss grows like a logarithm near zero: the small errors of well-marked points go on counting beside the large
    ones of rough marks.
    """

    def __init__(self, config: LandmarkNetConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, output: LandmarkOutput, points: Tensor, scale: Tensor) -> Tensor:
        """The total loss.

        Args:
            output: of the network.
            points: (B, 136) float, where they are.
            scale: (B,) float, distance of the outer eye corners in the same unit; 0 marks a cut without a face, of
                which only the error estimate learns.
        """
        config = self.config
        is_face = scale > 0
        by_eyes = (output.points.float() - points).view(len(points), -1, 2) / scale.clamp(min=1e-3)[
            :, None, None
        ]
        far = config.wing_reach * (1 - torch.log(torch.tensor(1 + config.wing_reach / config.wing_curvature)))
        size = by_eyes.abs()
        near = config.wing_reach * torch.log1p(size / config.wing_curvature)
        wing = torch.where(size < config.wing_reach, near, size - far).mean(dim=(1, 2))
        with torch.no_grad():
            error = torch.where(is_face, by_eyes.norm(dim=2).mean(dim=1), torch.ones_like(scale)).clamp(
                0.01, 0.5
            )
        doubt = F.smooth_l1_loss(output.log_error.float().squeeze(1), error.log())
        return (wing * is_face).sum() / is_face.sum().clamp(min=1) + config.error_weight * doubt
