"""HAFNet (P5 §V): feature clustering, multi-head attention and attention fusion on a ResNet18.

    crops → ResNet18 (FCN, §5.1) → H attention heads (MAN, §5.2) → fusion (AFN, §5.3) → logits

Decisions where the paper is silent or wrong:

* §V Step 8 prints both losses with the sign against their stated purpose: the affinity term is unbounded
  below, and the partition term rewards equal heads. Here the purpose is implemented: `affinity_loss` is the
  bounded share of a feature's squared distance to its own centre against the spread of the centres,
  `partition_loss` a hinge that pushes heads apart up to a margin.
* §5.2 names the spatial unit's kernels (1×1, 1×3, 3×1, 3×3) but not how they are joined: the 1×1 mixes
  channels, the three others look at its output side by side, their sum is squeezed to one map and passed
  through a sigmoid.
* §5.3 "log-softmax to scale the feature vectors" is taken over the channels of each head's vector, then the heads are
  summed. Taken over the heads instead, the sum has no slope where the heads agree; it trains, a little worse
  (docs/models.md). There is no dropout behind it: that keeps the network at the majority class.
* The backbone's fourth stage keeps its stride in `hafnet` (as in the paper); at 96×96 that leaves 3×3 places
  for the spatial units. `hafnet_half` gives the fourth stage stride 1: 6×6 places, half the channels.
* `hafnet_small` is `hafnet_half` with 48 instead of 256 channels between the convolutions of its fourth stage, so that
  it can start from the larger one's weights: taken out of the trained network, they cost 4 points (docs/models.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from export.architectures.layers import ResNet18, centre_distances, initialise


@dataclass(frozen=True, slots=True)
class HafnetConfig:
    """Sizes and loss weights."""

    inputs: ClassVar[tuple[str, ...]] = ("crop",)
    outputs: ClassVar[tuple[str, ...]] = ("logits",)

    num_classes: int = 7  # FER2013; the paper has 7 or 8 (AffectNet)
    channels: int = 1  # grey crops, P1 §2.2(3)
    width: int = 64  # ResNet18, P5 §IV
    last_stride: int = 2  # ResNet18
    last_inner: int = 0  # channels inside the fourth stage's blocks; 0: ResNet18's, as many as come out
    heads: int = 4  # P5 Table VI: the best of 1, 2, 4, 8
    channel_reduction: int = 16  # of the channel unit's bottleneck; the paper gives none
    affinity_weight: float = 0.1  # P5 §V Step 8 has the plain sum, of two losses that are not these
    partition_weight: float = 0.1  # as above
    centre_weight: float = 0.0  # of what P5 §6.2 compares the affinity loss with
    partition_margin: float = 1.0  # δ of P5 §V Step 8, in 1 − cosine: heads at right angles pay nothing

    def network(self) -> Hafnet:
        """With fresh weights."""
        return Hafnet(self)

    def objective(self, label_names: Sequence[str]) -> HafnetObjective:
        """What it is trained by."""
        return HafnetObjective(self)


class HafnetOutput(NamedTuple):
    """What training needs beside the logits."""

    logits: Tensor  # (B, num_classes)
    features: Tensor  # (B, C), pooled backbone features
    heads: Tensor  # (B, H, C), one vector per attention head


class SpatialUnit(nn.Module):
    """Where to look: one map over the places of the feature map (P5 §5.2, Fig. 6)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(8, channels // 4)
        self.mix = nn.Sequential(nn.Conv2d(channels, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU())
        self.square = nn.Conv2d(inner, inner, 3, padding=1, bias=False)
        self.row = nn.Conv2d(inner, inner, (1, 3), padding=(0, 1), bias=False)
        self.column = nn.Conv2d(inner, inner, (3, 1), padding=(1, 0), bias=False)
        self.norm = nn.BatchNorm2d(inner)
        self.squeeze = nn.Conv2d(inner, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same, each place scaled by its weight in (0, 1)."""
        y = self.mix(x)
        y = F.relu(self.norm(self.square(y) + self.row(y) + self.column(y)))
        return x * torch.sigmoid(self.squeeze(y))


class ChannelUnit(nn.Module):
    """What to look at: one weight per channel (P5 §5.2, Fig. 6)."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        inner = max(8, channels // reduction)
        self.gate = nn.Sequential(
            nn.Linear(channels, inner), nn.BatchNorm1d(inner), nn.ReLU(), nn.Linear(inner, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C): pooled over places, each channel scaled by its weight in (0, 1)."""
        pooled = x.mean(dim=(2, 3))
        return pooled * torch.sigmoid(self.gate(pooled))


class Hafnet(nn.Module):
    """The network; knows nothing of ONNX, of uint8, or of training."""

    def __init__(self, config: HafnetConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = ResNet18(
            config.channels, config.width, config.last_stride, last_inner=config.last_inner
        )
        channels = self.backbone.channels_out
        self.attention = nn.ModuleList(
            nn.Sequential(SpatialUnit(channels), ChannelUnit(channels, config.channel_reduction))
            for _ in range(config.heads)
        )
        self.classifier = nn.Linear(channels, config.num_classes)
        self.norm = nn.BatchNorm1d(config.num_classes)
        initialise(self)

    def forward(self, crops: Tensor) -> HafnetOutput:
        """(B, channels, 96, 96) normalised crops → logits, features and the heads' vectors."""
        maps = self.backbone(crops)
        heads = torch.stack([head(maps) for head in self.attention], dim=1)
        # + log C makes it relative to a uniform vector: the same function, but around zero instead of −log C.
        fused = (F.log_softmax(heads, dim=2) + math.log(heads.shape[2])).sum(dim=1)
        logits = self.norm(self.classifier(fused))
        return HafnetOutput(logits, maps.mean(dim=(2, 3)), heads)


def affinity_loss(features: Tensor, labels: Tensor, centres: Tensor) -> Tensor:
    """Pulls features to their class centre, and centres apart (the purpose of P5 §5.1, not its sign).

    Mean over the batch of d² / (d² + s²): d the distance to the own centre, s² the mean squared distance of
    the centres from their mean. In [0, 1): 0 when every feature lies on its centre.

    Args:
        features: (B, C) float.
        labels: (B,) int64.
        centres: (num_classes, C) float, learned.
    """
    own, spread = centre_distances(features, labels, centres)
    return (own / (own + spread + 1e-6)).mean()


def centre_loss(features: Tensor, labels: Tensor, centres: Tensor) -> Tensor:
    """Half the mean squared distance to the own class's centre (Wen et al. 2016, eq. 2), unbounded.

    Args:
        features: (B, C) float.
        labels: (B,) int64.
        centres: (num_classes, C) float, learned.
    """
    own, _ = centre_distances(features, labels, centres)
    return own.mean() / 2


def partition_loss(heads: Tensor, margin: float = 1.0) -> Tensor:
    """Pushes the heads of one face apart (purpose of P5 §7.1.2; eq. in §V Step 8.1 has a wrong sign).

    Mean over pairs of max(0, margin − (1 − cosine)): `margin` when all heads are equal, 0 when they differ
    enough.

    Args:
        heads: (B, H, C) float; one head alone has no pair and costs nothing.
        margin: in 1 − cosine, from 0 to 2.
    """
    pairs = list(combinations(range(heads.shape[1]), 2))
    if not pairs:
        return heads.new_zeros(())
    unit = F.normalize(heads, dim=2)
    left, right = (unit[:, [pair[side] for pair in pairs]] for side in (0, 1))
    return F.relu(margin - (1 - (left * right).sum(dim=2))).mean()


class HafnetObjective(nn.Module):
    """Cross-entropy plus affinity plus partition (P5 §V Step 8.4).

    Owns the class centres; not part of the deployed network.
    """

    def __init__(self, config: HafnetConfig) -> None:
        super().__init__()
        self.config = config
        self.centres = nn.Parameter(torch.randn(config.num_classes, 8 * config.width))

    def forward(self, output: HafnetOutput, targets: Tensor) -> Tensor:
        """The total loss.

        Args:
            output: of the network.
            targets: (B, num_classes) float, label distributions that sum to 1.
        """
        config = self.config
        loss = F.cross_entropy(output.logits.float(), targets)
        features, labels = output.features.float(), targets.argmax(1)
        if config.centre_weight:
            loss = loss + config.centre_weight * centre_loss(features, labels, self.centres)
        loss = loss + config.affinity_weight * affinity_loss(features, labels, self.centres)
        return loss + config.partition_weight * partition_loss(output.heads.float(), config.partition_margin)


def hafnet(num_classes: int = 7) -> HafnetConfig:
    """The paper's size: ResNet18 at full width."""
    return HafnetConfig(num_classes)


def hafnet_edge(num_classes: int = 7) -> HafnetConfig:
    """Three quarters of the width, 6×6 places: accuracy first, in an INT8 bundle of less than 12 MB."""
    return HafnetConfig(num_classes, width=48, last_stride=1)


def hafnet_half(num_classes: int = 7) -> HafnetConfig:
    """Half the width, twice the resolution in the last stage: the first bundle's network."""
    return HafnetConfig(num_classes, width=32, last_stride=1)


def hafnet_small(num_classes: int = 7) -> HafnetConfig:
    """For boards like a Raspberry Pi 4: the half size with a narrow fourth stage, 1.5 M parameters."""
    return HafnetConfig(num_classes, width=32, last_stride=1, last_inner=48)
