"""Fusion of learned and hand-made features (P4 §3).

    crops → convolutions as VGG16's → pooled ┐
    HOG of the crops                         ├→ each scaled to [0, 1] → side by side → logits
    SIFT of the crops                        ┘

Decisions where the paper is silent or wrong:

* Eq. 7 scales “feature vectors” by their least and largest value; §3.4 also says that this makes them normally
  distributed, which it does not. Each part of each face is scaled by its own least and largest value.
* What classifies the fused vector is not said: a batch norm and one linear layer here, so that what differs between
  the rows of Table 3 is the features.
* Nor is the VGG16-like network's size: its five stages with batch norm, at a quarter of the width, and an average over
  places in place of its two layers of 4096.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from edge_runtime.features import FEATURE_LENGTHS
from export.architectures.drsn18 import CentreObjective
from export.architectures.layers import NetworkOutput, initialise

_STAGES = ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3))  # VGG16: width in units of the first, convolutions


@dataclass(frozen=True, slots=True)
class FusionConfig:
    """Sizes, features and loss weight."""

    outputs: ClassVar[tuple[str, ...]] = ("logits",)

    num_classes: int = 7  # FER2013; the paper has six (Table 1)
    inputs: tuple[str, ...] = ("crop", "hog", "sift")  # P4 eq. 8; the rows of Table 3 are its subsets
    channels: int = 1  # grey crops, P1 §2.2(3)
    width: int = 16  # VGG16 has 64; see above
    centre_weight: float = 0.01  # as in drsn18

    def network(self) -> Fusion:
        """With fresh weights."""
        return Fusion(self)

    def objective(self, label_names: Sequence[str]) -> CentreObjective:
        """What it is trained by."""
        return CentreObjective(self.num_classes, _features(self), self.centre_weight)


class Fusion(nn.Module):
    """The network. It takes what `config.inputs` names, in that order."""

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        self.config = config
        if "crop" in config.inputs:
            self.convolutions = _vgg(config.channels, config.width)
        self.norm = nn.BatchNorm1d(_features(config))
        self.classifier = nn.Linear(_features(config), config.num_classes)
        initialise(self)

    def forward(self, *inputs: Tensor) -> NetworkOutput:
        """(B, channels, H, W) normalised crops and (B, ·) features → logits and the fused vector."""
        parts = [
            self.convolutions(values).mean(dim=(2, 3)) if kind == "crop" else values
            for kind, values in zip(self.config.inputs, inputs, strict=True)
        ]
        fused = torch.cat([scale_to_unit(part.float()) for part in parts], dim=1)
        return NetworkOutput(self.classifier(self.norm(fused)), fused)


def scale_to_unit(features: Tensor) -> Tensor:
    """Each row from its least value, 0, to its largest, 1 (P4 eq. 7); a row of equal values is all 0."""
    least, largest = features.amin(dim=1, keepdim=True), features.amax(dim=1, keepdim=True)
    return (features - least) / (largest - least + 1e-6)


def _features(config: FusionConfig) -> int:
    return sum(8 * config.width if kind == "crop" else FEATURE_LENGTHS[kind] for kind in config.inputs)


def _vgg(channels: int, width: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    previous = channels
    for factor, convolutions in _STAGES:
        for _ in range(convolutions):
            layers += [
                nn.Conv2d(previous, factor * width, 3, 1, 1, bias=False),
                nn.BatchNorm2d(factor * width),
                nn.ReLU(inplace=True),
            ]
            previous = factor * width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers[:-1])  # the last maps are averaged


def fusion(num_classes: int = 7) -> FusionConfig:
    """CNN, HOG and SIFT: the last column of P4 Table 3."""
    return FusionConfig(num_classes)


def fusion_cnn(num_classes: int = 7) -> FusionConfig:
    """The CNN alone: the first column of P4 Table 3."""
    return FusionConfig(num_classes, ("crop",))


def fusion_hog(num_classes: int = 7) -> FusionConfig:
    """HOG alone: its second column."""
    return FusionConfig(num_classes, ("hog",))


def fusion_sift(num_classes: int = 7) -> FusionConfig:
    """SIFT alone: its third column."""
    return FusionConfig(num_classes, ("sift",))
