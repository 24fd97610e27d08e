"""ViT, NetVLAD and a temporal Transformer (P3 §2–4): classes, valence and arousal of M frames of one face.

    crop → stem, residual attention, non-local block → tokens → ViT → class token ┐
                                                         └─ NetVLAD over tokens ──┴ features (N, F)
    features of M frames → temporal Transformer → logits, valence and arousal

`encode` runs once for a new frame of a face; `head` runs over the features of its last M frames.

Decisions where the paper is silent or garbled:

* §3 and Fig. 2 name three networks side by side and §4 names ViT as the frame. Here the residual attention network and
  the non-local block make the map whose places are ViT's tokens, since with the pictures that there are, patches of
  bare pixels learn too little.
* Eqs 8–9: trunk and mask are each small; the mask halves the map, looks, and enlarges it again. Eq. 10 as printed.
* NetVLAD (Arandjelović et al. 2016, eqs 1–4) is named and not described. Its vector is projected to the size of a
  token; the projection's norm is that of the ViT.
* Eq. 15 and the last one give ½η₁·M_B + ½η₂·M_Y + M_H. M_B is the cross-entropy of each frame's class token, M_Y that
  of each frame's NetVLAD vector, both on the frame's own label; M_H is that of the sequence.
* Valence and arousal are regressed beside the classes; no loss is given. Here it is the squared error plus 1 − CCC, the
  concordance that Table 1 reports, over the batch.
* The newest frame's own features are added before the heads: what is asked for is the state at the end of the window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from export.architectures.layers import BasicBlock, SequenceTargets, initialise


@dataclass(frozen=True, slots=True)
class VitVladConfig:
    """Sizes and loss weights; the paper gives no size at all."""

    inputs: ClassVar[tuple[str, ...]] = ("crop",)
    outputs: ClassVar[tuple[str, ...]] = ("logits", "valence_arousal")

    num_classes: int = 7  # P3 Fig. 5
    channels: int = 1  # grey crops, P1 §2.2(3)
    frames: int = 12  # M: three seconds at four evaluations a second
    widths: tuple[int, int, int] = (64, 128, 192)  # of the stem and the two stages of the map
    tokens: int = 192  # size of a token
    depth: int = 4  # of the ViT
    heads: int = 4
    clusters: int = 16  # of NetVLAD
    temporal_depth: int = 2
    dropout: float = 0.1
    frame_weight: float = 1.0  # η₁
    vlad_weight: float = 1.0  # η₂
    dimension_weight: float = 1.0  # of valence's and arousal's loss
    concordance_weight: float = 0.5  # of 1 − CCC in it

    @property
    def feature_length(self) -> int:
        """F: of one frame's features."""
        return 2 * self.tokens

    def network(self) -> VitVlad:
        """With fresh weights."""
        return VitVlad(self)

    def objective(self, label_names: Sequence[str]) -> VitVladObjective:
        """What it is trained by."""
        return VitVladObjective(self)


class VitVladOutput(NamedTuple):
    """What training needs beside logits, valence and arousal."""

    logits: Tensor  # (N, num_classes)
    valence_arousal: Tensor  # (N, 2) in (−1, 1)
    frame_logits: Tensor  # (N, M, num_classes) of each frame's class token
    vlad_logits: Tensor  # (N, M, num_classes) of each frame's NetVLAD vector


class ResidualAttention(nn.Module):
    """Trunk and mask: (1 + mask) · trunk (P3 eqs 8–10)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.trunk = BasicBlock(channels_in, channels_out, stride)
        inner = channels_out // 2
        self.look = nn.Sequential(
            nn.Conv2d(channels_in, inner, 3, 2 * stride, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU()
        )
        self.mask = nn.Conv2d(inner, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C', H/stride, W/stride)."""
        trunk: Tensor = self.trunk(x)
        mask = torch.sigmoid(F.interpolate(self.mask(self.look(x)), scale_factor=2.0, mode="nearest"))
        return (1 + mask) * trunk


class NonLocal(nn.Module):
    """Each place of the map from all places (P3 §3, steps 1–3), added to what was there."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = channels // 2
        self.query = nn.Conv2d(channels, self.inner, 1)
        self.key = nn.Conv2d(channels, self.inner, 1)
        self.value = nn.Conv2d(channels, self.inner, 1)
        self.back = nn.Conv2d(self.inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → the same shape."""
        _, _, H, W = x.shape
        query, key, value = (
            part(x).reshape(-1, self.inner, H * W) for part in (self.query, self.key, self.value)
        )
        relation = torch.softmax(query.transpose(1, 2) @ key * self.inner**-0.5, dim=2)  # (B, HW, HW)
        gathered = (relation @ value.transpose(1, 2)).transpose(1, 2).reshape(-1, self.inner, H, W)
        added: Tensor = x + self.back(gathered)
        return added


class TransformerLayer(nn.Module):
    """Multi-head self-attention (P3 eqs 1–7, 11) and a feed-forward network (eqs 12–13), each behind a norm."""

    def __init__(self, features: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(features), nn.LayerNorm(features)
        self.qkv = nn.Linear(features, 3 * features)
        self.out = nn.Linear(features, features)
        self.inner, self.outer = nn.Linear(features, 2 * features), nn.Linear(2 * features, features)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, C) → the same shape."""
        x = x + self.dropout(self._attend(self.norm1(x)))
        fed: Tensor = x + self.dropout(self.outer(F.gelu(self.inner(self.norm2(x)))))
        return fed

    def _attend(self, x: Tensor) -> Tensor:
        _, T, C = x.shape
        size = C // self.heads
        parts = self.qkv(x).reshape(-1, T, 3, self.heads, size).permute(2, 0, 3, 1, 4)
        query, key, value = parts[0], parts[1], parts[2]  # (N, heads, T, size)
        weights = torch.softmax(query @ key.transpose(2, 3) * size**-0.5, dim=3)
        attended: Tensor = self.out((weights @ value).transpose(1, 2).reshape(-1, T, C))
        return attended


class NetVlad(nn.Module):
    """Tokens summed up by cluster: how far they lie from each cluster's centre (Arandjelović et al. 2016 §3)."""

    def __init__(self, features: int, clusters: int) -> None:
        super().__init__()
        self.assign = nn.Linear(features, clusters)
        self.centres = nn.Parameter(0.1 * torch.randn(clusters, features))

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, T, C) → (N, clusters · C): residuals summed softly, each cluster's of length 1, then all together."""
        _, _, C = tokens.shape
        shares = torch.softmax(self.assign(tokens), dim=2).transpose(1, 2)  # (N, clusters, T)
        # Σ_i share · (token − centre); the mass of a cluster by a product, for OpenVINO's sake (see lip_resnet18.py).
        mass = shares @ tokens.new_ones(tokens.shape[1], 1)
        residuals = shares @ tokens - mass * self.centres
        flat: Tensor = F.normalize(residuals, dim=2).reshape(-1, self.centres.shape[0] * C)
        scale: float = self.centres.shape[0] ** -0.5  # of length 1, since each of the clusters' has it
        return flat * scale


class VitVlad(nn.Module):
    """The network; knows nothing of ONNX, of uint8, or of training."""

    MAP_SIDE: ClassVar = 6  # of the last map of a 96×96 crop

    def __init__(self, config: VitVladConfig) -> None:
        super().__init__()
        self.config = config
        first, second, third = config.widths
        size = config.tokens
        self.map = nn.Sequential(
            nn.Conv2d(config.channels, first, 7, 2, 3, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
            BasicBlock(first, first),
            ResidualAttention(first, second, 2),
            BasicBlock(second, third, 2),
            NonLocal(third),
        )
        self.token = nn.Conv2d(third, size, 1)
        self.class_token = nn.Parameter(0.02 * torch.randn(1, 1, size))
        self.places = nn.Parameter(0.02 * torch.randn(1, self.MAP_SIDE**2 + 1, size))
        self.vit = nn.Sequential(
            *(TransformerLayer(size, config.heads, config.dropout) for _ in range(config.depth)),
            nn.LayerNorm(size),
        )
        self.vlad = NetVlad(size, config.clusters)
        self.project = nn.Sequential(nn.Linear(config.clusters * size, size), nn.LayerNorm(size))

        self.frame_classifier = nn.Linear(size, config.num_classes)
        self.vlad_classifier = nn.Linear(size, config.num_classes)
        self.join = nn.Linear(2 * size, size)
        self.times = nn.Parameter(0.02 * torch.randn(1, config.frames, size))
        self.temporal = nn.Sequential(
            *(TransformerLayer(size, config.heads, config.dropout) for _ in range(config.temporal_depth)),
            nn.LayerNorm(size),
        )
        self.classifier = nn.Linear(2 * size, config.num_classes)
        self.dimensions = nn.Linear(2 * size, 2)
        initialise(self)
        for part in self.modules():  # what is added to a shortcut starts small, for these as for BasicBlock
            if isinstance(part, NonLocal):
                nn.init.zeros_(part.back.weight)
            elif isinstance(part, TransformerLayer):
                nn.init.normal_(part.out.weight, std=0.02)
                nn.init.normal_(part.outer.weight, std=0.02)
        nn.init.normal_(self.dimensions.weight, std=0.02)  # so that tanh does not start saturated

    def encode(self, crops: Tensor) -> Tensor:
        """One frame of each face: (N, channels, 96, 96) normalised → (N, F), class token, then NetVLAD's vector."""
        tokens = self.token(self.map(crops)).flatten(2).transpose(1, 2)  # (N, 36, tokens)
        first = self.class_token.expand(crops.shape[0], -1, -1)
        tokens = self.vit(torch.cat([first, tokens], dim=1) + self.places)
        return torch.cat([tokens[:, 0], self.project(self.vlad(tokens[:, 1:]))], dim=1)

    def head(self, sequence: Tensor) -> VitVladOutput:
        """(N, M, F), the oldest frame first → logits, valence and arousal."""
        size = self.config.tokens
        class_tokens, vlads = sequence[:, :, :size], sequence[:, :, size:]
        steps = self.join(sequence) + self.times
        seen = self.temporal(steps)
        read = torch.cat([seen[:, -1] + steps[:, -1], seen.mean(dim=1)], dim=1)
        return VitVladOutput(
            self.classifier(read),
            torch.tanh(self.dimensions(read)),
            self.frame_classifier(class_tokens),
            self.vlad_classifier(vlads),
        )

    def forward(self, crops: Tensor) -> VitVladOutput:
        """The whole sequence at once: (N, M, channels, 96, 96) normalised."""
        features = self.encode(crops.flatten(0, 1))
        return self.head(features.reshape(-1, self.config.frames, features.shape[1]))


def concordance(found: Tensor, wanted: Tensor) -> Tensor:
    """Lin's concordance correlation coefficient of each column: 2·cov / (var + var + (difference of means)²).

    Args:
        found: (N, D).
        wanted: (N, D).

    Returns:
        (D,) in [−1, 1].
    """
    found_mean, wanted_mean = found.mean(dim=0), wanted.mean(dim=0)
    found_centred, wanted_centred = found - found_mean, wanted - wanted_mean
    covariance = (found_centred * wanted_centred).mean(dim=0)
    spread = found_centred.square().mean(dim=0) + wanted_centred.square().mean(dim=0)
    return 2 * covariance / (spread + (found_mean - wanted_mean).square() + 1e-8)


class VitVladObjective(nn.Module):
    """½η₁·M_B + ½η₂·M_Y + M_H (P3 §4), and the loss of valence and arousal."""

    def __init__(self, config: VitVladConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, output: VitVladOutput, targets: SequenceTargets) -> Tensor:
        """The total loss."""
        config, frames = self.config, targets.frame_labels.flatten(0, 1)
        loss = F.cross_entropy(output.logits, targets.labels)
        loss = loss + config.frame_weight / 2 * F.cross_entropy(output.frame_logits.flatten(0, 1), frames)
        loss = loss + config.vlad_weight / 2 * F.cross_entropy(output.vlad_logits.flatten(0, 1), frames)
        found, wanted = output.valence_arousal, targets.valence_arousal
        apart = F.mse_loss(found, wanted)
        apart = apart + config.concordance_weight * (1 - concordance(found, wanted)).mean()
        return loss + config.dimension_weight * apart


def vit_vlad(num_classes: int = 7) -> VitVladConfig:
    """P3, wide and four layers deep."""
    return VitVladConfig(num_classes)


def vit_vlad_edge(num_classes: int = 7) -> VitVladConfig:
    """Half as wide and two layers deep: a new frame of a face in some milliseconds."""
    return VitVladConfig(num_classes, widths=(24, 64, 96), tokens=96, depth=2, clusters=8, temporal_depth=1)
