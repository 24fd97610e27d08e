"""Multi-attention fusion on expression sequences (P1 §3): what is measured of a face, and what is seen, over M frames.

    crop → convolutions of AlexNet → map ┐                 ┌ maps → convolutional attention, 1×1 merge → P₂ ┐
    distances, LBP → A = [F; B] ─────────┴ features (N, F) ┴ A → self-attention, BiLSTM, weights → P₁ ──────┴ D

`encode` runs once for a new frame of a face; `head` runs over the features of its last M frames. That is exact: before
the head no frame knows of another.

Decisions where the paper is silent or garbled:

* A distance of 0 is one that is not known (see `edge_runtime.features.landmark_distances`); it becomes the mean of
  that distance, as does every one whose landmarks were not found.
* Eq. 13 weighs L·x_u by a_su: one head of scaled dot-product attention over the frames.
* Eq. 14: the weights of the time steps come from a small network (a linear layer, tanh, a vector) through a softmax,
  which holds the factor 1/M.
* Eq. 15 is taken as two things: a weight for each place of each frame, by a convolution on the frame's own map and a
  softmax over the frames; and a 1×1 kernel of its own for each time step, summed over the steps, which is one 1×1
  convolution over all frames' channels side by side.
* Eq. 16: Q₁ and Q₂ are learned for each class and sum to 2, so D is a distribution between P₁ and P₂ wherever they
  agree on the sum. The logits are log D.
* An attention that is switched off (Table 6) leaves the mean over frames in its place; self-attention leaves its
  frames as they are.
* AlexNet's local response norm is batch norm here; its strides fit 96×96, and its three fully connected layers are two.
* The paper's seven classes hold confusion, which no data here is labelled with: the class list is the data's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_runtime.features import FEATURE_LENGTHS
from export.architectures.layers import SequenceTargets, initialise

_LEAST_SHARE = 1e-6  # of a class, before the logarithm


@dataclass(frozen=True, slots=True)
class AttentionFusionConfig:
    """Sizes, which attentions are on, and loss weights."""

    inputs: ClassVar[tuple[str, ...]] = ("crop", "landmark_distances", "lbp")
    outputs: ClassVar[tuple[str, ...]] = ("logits",)

    num_classes: int = 7  # P1 §4
    channels: int = 1  # grey crops, P1 §2.2(3)
    frames: int = 12  # M; the paper gives none. Three seconds at four evaluations a second
    convolutions: tuple[int, int, int, int, int] = (96, 256, 384, 384, 256)  # AlexNet, P1 §3.2
    embedding: int = 64  # of A for the self-attention; the paper gives none
    hidden: int = 64  # of the BiLSTM in each direction; the paper gives none
    merged: int = 48  # channels of the 1×1 merge; the paper gives none
    dropout: float = 0.3  # before both classifiers; AlexNet's 0.5 is for layers thirty times as wide
    self_attention: bool = True  # eq. 13
    weight_attention: bool = True  # eq. 14
    convolutional_attention: bool = True  # eq. 15
    branch_weight: float = 0.5  # of each branch's own cross-entropy; the paper trains the fusion alone

    @property
    def feature_length(self) -> int:
        """F: of one frame's features."""
        return self.convolutions[4] * AttentionFusion.MAP_SIDE**2 + self.shallow_length

    @property
    def shallow_length(self) -> int:
        """Of A = [F; B], eq. 12."""
        return sum(FEATURE_LENGTHS[kind] for kind in self.inputs[1:])

    def network(self) -> AttentionFusion:
        """With fresh weights."""
        return AttentionFusion(self)

    def objective(self, label_names: Sequence[str]) -> AttentionFusionObjective:
        """What it is trained by."""
        return AttentionFusionObjective(self)


class AttentionFusionOutput(NamedTuple):
    """What training needs beside the logits."""

    logits: Tensor  # (N, num_classes), log D of eq. 16
    shallow: Tensor  # (N, num_classes) logits of P₁
    deep: Tensor  # (N, num_classes) logits of P₂


class KnownNorm(nn.Module):
    """Brings each of the distances to mean 0 and deviation 1; one that is not known (0) becomes 0, the mean.

    Statistics are of what training has seen, not of the batch: they depend on no weight, and a batch may hold no
    face whose landmarks are known.
    """

    LIMIT: ClassVar = 5.0  # deviations; a misplaced nose bridge makes all lengths wrong at once

    mean: Tensor
    variance: Tensor
    seen: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("variance", torch.ones(features))
        self.register_buffer("seen", torch.zeros(()))  # batches that held a known distance

    def forward(self, x: Tensor) -> Tensor:
        """(N, features) → the same, within ± 5."""
        known = (x != 0).to(x.dtype)
        if self.training:
            self._learn(x.detach(), known)
        normal: Tensor = (x - self.mean) * (self.variance + 1e-5).rsqrt()
        return known * normal.clamp(-self.LIMIT, self.LIMIT)

    @torch.no_grad()
    def _learn(self, x: Tensor, known: Tensor) -> None:
        rows = known.all(dim=1)
        if int(rows.sum()) < 2:
            return
        self.seen += 1
        share = max(0.01, 1 / float(self.seen))  # a plain mean at first
        variance, mean = torch.var_mean(x[rows], dim=0)
        self.mean.lerp_(mean, share)
        self.variance.lerp_(variance, share)


class SelfAttention(nn.Module):
    """Each frame's features from those of all frames, by how they relate (P1 eq. 13)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.query = nn.Linear(features, features)
        self.key = nn.Linear(features, features)
        self.value = nn.Linear(features, features)

    def weights(self, x: Tensor) -> Tensor:
        """(N, M, C) → (N, M, M), a_su; rows sum to 1."""
        return torch.softmax(self.query(x) @ self.key(x).transpose(1, 2) * x.shape[2] ** -0.5, dim=2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, M, C) → the same shape."""
        attended: Tensor = self.weights(x) @ self.value(x)
        return attended


class WeightAttention(nn.Module):
    """Which time steps count (P1 eq. 14)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(features, features // 2), nn.Tanh(), nn.Linear(features // 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, M, C) → (N, C): the weighted sum over the steps; weights sum to 1."""
        weights = torch.softmax(self.score(x), dim=1)  # (N, M, 1)
        summed: Tensor = weights.transpose(1, 2) @ x
        return summed[:, 0]


class ConvolutionalAttention(nn.Module):
    """Which frame counts at which place of the map (the weights of P1 eq. 15)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.score = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        """(N, M, C, H, W) → (N, M, 1, H, W), positive; they sum to 1 over the frames."""
        _, M, C, H, W = maps.shape
        scores = self.score(maps.reshape(-1, C, H, W)).reshape(-1, M, 1, H, W)
        return torch.softmax(scores, dim=1)


class AttentionFusion(nn.Module):
    """The network; knows nothing of ONNX, of uint8, or of training."""

    MAP_SIDE: ClassVar = 6  # of the last map of a 96×96 crop

    def __init__(self, config: AttentionFusionConfig) -> None:
        super().__init__()
        self.config = config
        first, second, third, fourth, last = config.convolutions
        self.convolutions = nn.Sequential(
            *_convolution(config.channels, first, 7, 2),
            nn.MaxPool2d(3, 2, 1),
            *_convolution(first, second, 5),
            nn.MaxPool2d(3, 2, 1),
            *_convolution(second, third, 3),
            *_convolution(third, fourth, 3),
            *_convolution(fourth, last, 3),
            nn.MaxPool2d(3, 2, 1),
        )
        self.distances_norm = KnownNorm(FEATURE_LENGTHS["landmark_distances"])
        self.lbp_norm = nn.BatchNorm1d(FEATURE_LENGTHS["lbp"], affine=False)

        self.embedding = nn.Sequential(nn.Linear(config.shallow_length, config.embedding), nn.ReLU())
        self.self_attention: nn.Module = nn.Identity()
        if config.self_attention:
            self.self_attention = SelfAttention(config.embedding)
        self.lstm = nn.LSTM(config.embedding, config.hidden, batch_first=True, bidirectional=True)
        self.weight_attention = WeightAttention(2 * config.hidden) if config.weight_attention else None
        self.shallow = nn.Sequential(
            nn.Dropout(config.dropout), nn.Linear(2 * config.hidden, config.num_classes)
        )

        self.attention = ConvolutionalAttention(last) if config.convolutional_attention else None
        self.merge = nn.Sequential(
            nn.Conv2d(config.frames * last, config.merged, 1, bias=False),
            nn.BatchNorm2d(config.merged),
            nn.ReLU(),
        )
        places = self.MAP_SIDE**2
        self.deep = nn.Sequential(
            nn.Linear(config.merged * places, 128),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(128, config.num_classes),
        )
        self.balance = nn.Parameter(torch.zeros(2, config.num_classes))  # Q₁ and Q₂ before their softmax
        initialise(self)

    def encode(self, crops: Tensor, distances: Tensor, lbp: Tensor) -> Tensor:
        """One frame of each face.

        Args:
            crops: (N, channels, 96, 96) normalised.
            distances: (N, 38) of `edge_runtime.features.landmark_distances`, 0 where unknown.
            lbp: (N, 413) of `edge_runtime.features.lbp`.

        Returns:
            (N, F): the last map, then A.
        """
        maps = self.convolutions(crops).flatten(1)
        return torch.cat([maps, self.distances_norm(distances), self.lbp_norm(lbp)], dim=1)

    def head(self, sequence: Tensor) -> AttentionFusionOutput:
        """(N, M, F), the oldest frame first → logits."""
        config = self.config
        M, C, side = config.frames, config.convolutions[4], self.MAP_SIDE
        maps, shallow = sequence[:, :, : C * side * side], sequence[:, :, C * side * side :]
        steps = self.lstm(self.self_attention(self.embedding(shallow)))[0]
        pooled = steps.mean(dim=1) if self.weight_attention is None else self.weight_attention(steps)
        first = self.shallow(pooled)

        maps = maps.reshape(-1, M, C, side, side)
        maps = maps * (1 / M if self.attention is None else self.attention(maps))
        merged = self.merge(maps.reshape(-1, M * C, side, side))
        second = self.deep(merged.flatten(1))

        share = torch.softmax(self.balance, dim=0)  # ½ Q of eq. 16
        fused = share[0] * torch.softmax(first, dim=1) + share[1] * torch.softmax(second, dim=1)
        return AttentionFusionOutput((fused + _LEAST_SHARE).log(), first, second)

    def forward(self, crops: Tensor, distances: Tensor, lbp: Tensor) -> AttentionFusionOutput:
        """The whole sequence at once: (N, M, …) of what `encode` takes."""
        features = self.encode(crops.flatten(0, 1), distances.flatten(0, 1), lbp.flatten(0, 1))
        return self.head(features.reshape(-1, self.config.frames, features.shape[1]))


def _convolution(channels_in: int, channels_out: int, size: int, stride: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(channels_in, channels_out, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    ]


class AttentionFusionObjective(nn.Module):
    """Cross-entropy of the fusion, and of each branch alone, so that neither leaves the work to the other."""

    def __init__(self, config: AttentionFusionConfig) -> None:
        super().__init__()
        self.weight = config.branch_weight

    def forward(self, output: AttentionFusionOutput, targets: SequenceTargets) -> Tensor:
        """The total loss."""
        loss = F.cross_entropy(output.logits, targets.labels)
        alone = F.cross_entropy(output.shallow, targets.labels) + F.cross_entropy(output.deep, targets.labels)
        return loss + self.weight * alone


def attention_fusion(num_classes: int = 7) -> AttentionFusionConfig:
    """P1 with AlexNet's own widths."""
    return AttentionFusionConfig(num_classes)


def attention_fusion_edge(num_classes: int = 7) -> AttentionFusionConfig:
    """A quarter of AlexNet's widths and fewer: a new frame of a face in some milliseconds."""
    return AttentionFusionConfig(num_classes, convolutions=(24, 48, 72, 72, 32))
