"""ResNet18 with group attention, local importance pooling and style recalibration (P2 §2–3).

    crops → stem → four stages → recalibrated maps of three of them, pooled, side by side → logits, dimensions

Decisions where the paper is silent:

* Fig. 4 fuses features “based on three blocks”: the last three stages are taken, each recalibrated and averaged
  over its places, then concatenated: local and global features before one classifier.
* The group attention (eqs 1–8) stands in each residual branch, before the addition.
* Local importance pooling (eqs 9–12) replaces the stem's max pooling, and the stride of every block on both its
  ways. The stem's own 7×7 convolution keeps its stride: without it everything behind would cost four times
  as much, and at 96×96 the crop is enlarged already.
* Eq. 11 is exp of a number without bound. The logit is clamped to ± 6, so weights lie between 1/403 and 403, and no
  window's sum can vanish or overflow. After the instance norm that is six standard deviations.
* Eqs 16–18 are garbled; a channel's own linear layer over (mean, deviation) is written as mean·w₀ + deviation·w₁,
  since OpenVINO's CPU plugin gives wrong numbers above batch 1 for the stacked form.
* The dimensional head gives response efficacy (valence), stimulus (arousal) and dominance. Nobody has labelled
  FER2013 so; it learns the means that raters gave the class's word, weighted by the label distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from export.architectures.layers import initialise
from export.taxonomy import dimensions_of


@dataclass(frozen=True, slots=True)
class LipResnet18Config:
    """Sizes and loss weight."""

    inputs: ClassVar[tuple[str, ...]] = ("crop",)
    outputs: ClassVar[tuple[str, ...]] = ("logits", "valence_arousal", "dominance")

    num_classes: int = 7  # FER2013; the paper has eight (P2 §2)
    channels: int = 1  # grey crops, P1 §2.2(3)
    width: int = 64  # ResNet18, P2 §2
    groups: int = 8  # H of eq. 1; the paper gives none. Eight channels each in the first stage
    logit_limit: float = 6.0  # see above
    dimension_weight: float = 0.5  # of the dimensional head's squared error; the paper gives none

    def network(self) -> LipResnet18:
        """With fresh weights."""
        return LipResnet18(self)

    def objective(self, label_names: Sequence[str]) -> LipObjective:
        """What it is trained by."""
        return LipObjective(self, label_names)


class LipOutput(NamedTuple):
    """What training needs beside the logits."""

    logits: Tensor  # (B, num_classes)
    features: Tensor  # (B, 14·width)
    dimensions: Tensor  # (B, 3): valence, arousal, dominance in (−1, 1)


class GroupAttention(nn.Module):
    """Where in the map each group of channels is like its own mean (P2 eqs 1–8)."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.scale = nn.Parameter(torch.zeros(1, groups, 1, 1))  # α of eq. 6
        self.shift = nn.Parameter(torch.ones(1, groups, 1, 1))  # φ of eq. 6

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same, each place of each group scaled by its weight in (0, 1)."""
        _, C, H, W = x.shape
        grouped = x.reshape(-1, self.groups, C // self.groups, H, W)
        mean = grouped.mean(dim=(3, 4), keepdim=True)  # h, eq. 1
        likeness = (grouped * mean).sum(dim=2)  # d, eq. 2: (B, groups, H, W)
        centred = likeness - likeness.mean(dim=(2, 3), keepdim=True)  # eqs 3–5
        deviation = centred.square().mean(dim=(2, 3), keepdim=True).sqrt()
        weight = torch.sigmoid(self.scale * centred / (deviation + 1e-5) + self.shift)  # eq. 6
        return (grouped * weight[:, :, None]).reshape(-1, C, H, W)  # eqs 7–8


class LocalImportancePooling(nn.Module):
    """Pooling by learned importance (P2 eqs 9–12): Σ w·x / Σ w over 3×3 windows, stride 2."""

    def __init__(self, channels: int, logit_limit: float) -> None:
        super().__init__()
        self.logit = nn.Sequential(
            nn.Conv2d(channels, channels, 1, bias=False), nn.InstanceNorm2d(channels, affine=True)
        )
        self.limit = logit_limit

    def weights(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same shape, positive (eq. 11)."""
        logit: Tensor = self.logit(x).float()
        return logit.clamp(-self.limit, self.limit).exp()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, ⌈H/2⌉, ⌈W/2⌉)."""
        weight = self.weights(x)
        # What is padded counts as nothing in both sums, so their ratio is over the places that are there.
        return F.avg_pool2d(weight * x, 3, 2, 1) / F.avg_pool2d(weight, 3, 2, 1)


class StyleRecalibration(nn.Module):
    """A weight per channel from its own mean and deviation, without a look at the others (P2 eqs 13–21)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.of_mean = nn.Parameter(torch.zeros(channels))
        self.of_deviation = nn.Parameter(torch.zeros(channels))
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same, each channel scaled by its weight in (0, 1)."""
        x = x.float()
        mean = x.mean(dim=(2, 3))  # eq. 13
        deviation = ((x - mean[:, :, None, None]).square().mean(dim=(2, 3)) + 1e-5).sqrt()  # eq. 14
        weight = torch.sigmoid(self.norm(mean * self.of_mean + deviation * self.of_deviation))  # eqs 16–20
        return x * weight[:, :, None, None]  # eq. 21


class LipBlock(nn.Module):
    """A residual block whose stride is a local importance pooling, and whose branch ends in group attention."""

    def __init__(
        self, channels_in: int, channels_out: int, config: LipResnet18Config, *, halve: bool
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, 1, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.pool: nn.Module = nn.Identity()
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.attention = GroupAttention(channels_out, config.groups)
        self.shortcut: nn.Module = nn.Identity()
        if halve:
            self.pool = LocalImportancePooling(channels_out, config.logit_limit)
            self.shortcut = nn.Sequential(
                LocalImportancePooling(channels_in, config.logit_limit),
                nn.Conv2d(channels_in, channels_out, 1, bias=False),
                nn.BatchNorm2d(channels_out),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C', H or ⌈H/2⌉, W or ⌈W/2⌉)."""
        y = self.pool(F.relu(self.norm1(self.conv1(x))))
        return F.relu(self.attention(self.norm2(self.conv2(y))) + self.shortcut(x))


class LipResnet18(nn.Module):
    """The network; knows nothing of ONNX, of uint8, or of training."""

    def __init__(self, config: LipResnet18Config) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.stem = nn.Sequential(
            nn.Conv2d(config.channels, width, 7, 2, 3, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            LocalImportancePooling(width, config.logit_limit),
        )
        sizes = ((width, width), (width, 2 * width), (2 * width, 4 * width), (4 * width, 8 * width))
        self.stages = nn.ModuleList(
            nn.Sequential(LipBlock(a, b, config, halve=a != b), LipBlock(b, b, config, halve=False))
            for a, b in sizes
        )
        self.recalibration = nn.ModuleList(StyleRecalibration(b) for _, b in sizes[1:])
        features = sum(b for _, b in sizes[1:])
        self.classifier = nn.Linear(features, config.num_classes)
        self.dimensions = nn.Linear(features, 3)
        initialise(self)

    def forward(self, crops: Tensor) -> LipOutput:
        """(B, channels, H, W) normalised crops → logits, fused features and dimensions."""
        maps = self.stages[0](self.stem(crops))
        pooled = []
        for stage, recalibrate in zip(self.stages[1:], self.recalibration, strict=True):
            maps = stage(maps)
            pooled.append(recalibrate(maps).mean(dim=(2, 3)))
        features = torch.cat(pooled, dim=1)
        return LipOutput(self.classifier(features), features, torch.tanh(self.dimensions(features)))


class LipObjective(nn.Module):
    """Cross-entropy, and the squared error of the three dimensions."""

    def __init__(self, config: LipResnet18Config, label_names: Sequence[str]) -> None:
        super().__init__()
        self.places: Tensor
        self.weight = config.dimension_weight
        places = torch.tensor(dimensions_of(label_names), dtype=torch.float32)
        self.register_buffer("places", places, persistent=False)  # (num_classes, 3)

    def forward(self, output: LipOutput, targets: Tensor) -> Tensor:
        """The total loss; `targets` are (B, num_classes) label distributions."""
        loss = F.cross_entropy(output.logits.float(), targets)
        wanted = targets @ self.places
        return loss + self.weight * F.mse_loss(output.dimensions.float(), wanted)


def lip_resnet18(num_classes: int = 7) -> LipResnet18Config:
    """The paper's size: ResNet18 at full width."""
    return LipResnet18Config(num_classes)


def lip_resnet18_half(num_classes: int = 7) -> LipResnet18Config:
    """Half the width."""
    return LipResnet18Config(num_classes, width=32)


def lip_resnet18_small(num_classes: int = 7) -> LipResnet18Config:
    """For boards like a Raspberry Pi 4: 1.1 M parameters."""
    return LipResnet18Config(num_classes, width=20, groups=4)
