"""The deployed form of a network of sequences: a frame encoder and a sequence head, each a graph of its own.

    encoder   uint8 crop, features of it → features, preprocessing inside the graph
    head      features of M frames → logits, and what else is measured

Beside the two stands the whole, which no device runs: torch's own full computation, for goldens.

What no crop shows (`landmark_distances`) has a stand-in here wherever only crops are at hand: numbers of the crop's
middle column, between 0.5 and 1.5 nose bridges, where distances of faces lie. Engines are compared on it; nothing is
trained or judged on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edge_runtime.bundle import FEATURES_TENSOR, SEQUENCE_TENSOR, SequencePart
from edge_runtime.faces.alignment import AlignmentTemplate
from edge_runtime.features import FEATURE_LENGTHS, GIVEN, make_inputs
from edge_runtime.frames.frame import Image
from export.architectures import SequenceConfig
from export.deploy import DeployedNetwork, normalise

_BATCH: Final = 32  # crops that torch encodes at a time


def stand_ins(kinds: tuple[str, ...], crops: Image) -> dict[str, npt.NDArray[np.float32]]:
    """Kind → (n, …) stand-ins of what no crop shows, for (n, size, size) uint8 crops; see the module."""
    column = crops[:, :, crops.shape[2] // 2].astype(np.float32) / 255 + np.float32(0.5)
    return {
        kind: np.ascontiguousarray(np.resize(column, (len(crops), FEATURE_LENGTHS[kind])))
        if column.shape[1] < FEATURE_LENGTHS[kind]
        else np.ascontiguousarray(column[:, -FEATURE_LENGTHS[kind] :])
        for kind in kinds
        if kind in GIVEN
    }


class FrameEncoder(DeployedNetwork):
    """The encoder's graph.

    Args:
        network: has `encode`.
        inputs: kinds of what that takes, in order.
        template: that crops are cut by.
    """

    def __init__(self, network: nn.Module, inputs: tuple[str, ...], template: AlignmentTemplate) -> None:
        super().__init__(network, inputs, (FEATURES_TENSOR,))
        self.template = template

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """(B, 96, 96) uint8 aligned crops, and (B, ·) float32 features → (B, F) float32."""
        values = (
            normalise(tensor) if kind == "crop" else tensor
            for kind, tensor in zip(self.inputs, inputs, strict=True)
        )
        return (self.network.encode(*values),)  # type: ignore[operator]

    def feed_of(self, crops: Image) -> dict[str, npt.NDArray[Any]]:
        """See `DeployedNetwork.feed_of`, with stand-ins."""
        wanted = [(kind, kind) for kind in self.inputs]
        return make_inputs(wanted, crops, self.template, stand_ins(self.inputs, crops))

    def features(self, crops: Image) -> npt.NDArray[np.float32]:
        """(n, size, size) uint8 crops → (n, F) float32, by torch."""
        with torch.inference_mode():
            return np.concatenate(
                [
                    self(*self.made_of(crops[start : start + _BATCH]))[0].numpy()
                    for start in range(0, len(crops), _BATCH)
                ]
            )


class SequenceHead(DeployedNetwork):
    """The head's graph. Where others are given crops, it is given features.

    Args:
        network: has `head`.
        outputs: kinds of what that gives.
        frames: M.
        feature_length: F.
    """

    def __init__(
        self, network: nn.Module, outputs: tuple[str, ...], *, frames: int, feature_length: int
    ) -> None:
        super().__init__(network, (SEQUENCE_TENSOR,), outputs)
        self.frames, self.feature_length = frames, feature_length

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """(B, M, F) float32, the oldest frame first → (B, num_classes) float32 logits, and so on."""
        output = self.network.head(inputs[0])  # type: ignore[operator]
        return tuple(getattr(output, kind) for kind in self.outputs)

    def example(self, count: int, size_px: int) -> npt.NDArray[Any]:
        """See `DeployedNetwork.example`."""
        del size_px
        return np.zeros((count, self.frames, self.feature_length), np.float32)

    def feed_of(self, crops: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """(n, M, F) float32 features, as they are."""
        return {SEQUENCE_TENSOR: crops}


class WholeSequence(DeployedNetwork):
    """Torch's own full computation: every frame encoded, whatever was encoded before.

    Args:
        encoder: the same network's, for what it is fed.
        outputs: kinds of what it gives.
        frames: M.
    """

    def __init__(self, encoder: FrameEncoder, outputs: tuple[str, ...], frames: int) -> None:
        super().__init__(encoder.network, encoder.inputs, outputs)
        self.encoder, self.frames = encoder, frames

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """(B, M, 96, 96) uint8 crops, and (B, M, ·) float32 features → (B, num_classes) float32 logits, and so on."""
        values = [
            normalise(tensor.flatten(0, 1)).reshape(*tensor.shape[:2], 1, *tensor.shape[2:])
            if kind == "crop"
            else tensor
            for kind, tensor in zip(self.inputs, inputs, strict=True)
        ]
        output = self.network(*values)
        return tuple(getattr(output, kind) for kind in self.outputs)

    def example(self, count: int, size_px: int) -> npt.NDArray[Any]:
        """See `DeployedNetwork.example`."""
        return np.zeros((count, self.frames, size_px, size_px), np.uint8)

    def feed_of(self, crops: Image) -> dict[str, npt.NDArray[Any]]:
        """(n, M, size, size) uint8 crops → each input with (n, M) in front."""
        fed = self.encoder.feed_of(crops.reshape(-1, *crops.shape[2:]))
        return {kind: rows.reshape(*crops.shape[:2], *rows.shape[1:]) for kind, rows in fed.items()}


@dataclass(frozen=True, slots=True)
class SequenceGraphs:
    """What a device runs of a network of sequences.

    Attributes:
        encoder, head: the two graphs.
        part: of the manifest.
    """

    encoder: FrameEncoder
    head: SequenceHead
    part: SequencePart


def deploy_sequence(
    network: nn.Module, config: SequenceConfig, template: AlignmentTemplate, stride_s: float
) -> tuple[WholeSequence, SequenceGraphs]:
    """The whole and the two graphs of one trained network, in evaluation mode.

    Args:
        network: trained; has `encode` and `head`.
        config: its sizes.
        template: that crops are cut by.
        stride_s: between two frames of what it learned from.
    """
    encoder = FrameEncoder(network, config.inputs, template)
    head = SequenceHead(network, config.outputs, frames=config.frames, feature_length=config.feature_length)
    part = SequencePart(frames=config.frames, stride_s=stride_s, feature_length=config.feature_length)
    whole = WholeSequence(encoder, config.outputs, config.frames)
    return whole.eval(), SequenceGraphs(encoder.eval(), head.eval(), part)


def dissolves(crops: Image, frames: int, count: int) -> Image:
    """Sequences for engines to be compared on: each crop dissolves into the next one.

    Args:
        crops: (n, size, size) uint8.
        frames: M.
        count: of sequences.

    Returns:
        (count, M, size, size) uint8.
    """
    first = np.arange(count) % len(crops)
    share = np.linspace(0, 1, frames, dtype=np.float32)[None, :, None, None]
    from_, to = (crops[rows][:, None].astype(np.float32) for rows in (first, (first + 1) % len(crops)))
    return np.rint(from_ + share * (to - from_)).astype(np.uint8)
