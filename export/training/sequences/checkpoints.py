"""A checkpoint of `roomtone train sequence` as a network that can be asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from edge_runtime.errors import ConfigurationError
from edge_runtime.faces.alignment import TEMPLATES, AlignmentTemplate, FloatArray
from export.architectures import SequenceConfig, configure_sequence
from export.checkpoints import CheckpointError, load_checkpoint, load_weights
from export.training.sequences.recipe import SequenceRecipe
from export.training.sequences.trainer import encode


@dataclass(frozen=True, slots=True)
class TrainedSequence:
    """A trained network of sequences, on the CPU, in evaluation mode."""

    network: nn.Module
    config: SequenceConfig
    recipe: SequenceRecipe
    label_names: tuple[str, ...]

    @property
    def template(self) -> AlignmentTemplate:
        """That its crops are cut by."""
        return TEMPLATES[self.recipe.template]

    def features(self, inputs: Mapping[str, Tensor]) -> FloatArray:
        """(B, F) of single frames: kind → (B, …), as in `SequenceBatch`."""
        with torch.inference_mode():
            return np.asarray(encode(self.network, inputs, self.config.inputs).numpy(), np.float32)

    def read(self, sequence: FloatArray, places: FloatArray) -> tuple[FloatArray, FloatArray]:
        """What the head says of features.

        Args:
            sequence: (N, M, F), the oldest frame first.
            places: (K, 2) valence and arousal of the classes, for a network that does not measure them itself: it
                says what its probabilities lead one to expect.

        Returns:
            (N, K) probabilities, and (N, 2) valence and arousal.
        """
        with torch.inference_mode():
            output = self.network.head(torch.from_numpy(sequence))  # type: ignore[operator]
            shares = torch.softmax(output.logits, dim=1).numpy()
        if "valence_arousal" in self.config.outputs:
            return shares, output.valence_arousal.numpy()
        return shares, np.asarray(shares @ places, np.float32)


def load_trained(path: Path) -> TrainedSequence:
    """Reads a checkpoint.

    Raises:
        CheckpointError: it cannot be read, or is not of a network of sequences.
    """
    checkpoint = load_checkpoint(path)
    try:
        recipe = SequenceRecipe.from_json(checkpoint.facts["recipe"])
        names = tuple(checkpoint.facts["labels"])
        config = configure_sequence(recipe.architecture, len(names), recipe.changes)
    except (KeyError, TypeError, ConfigurationError) as exc:
        raise CheckpointError(
            path,
            f"is not of a network of sequences: {exc}",
            hint="train one with `roomtone train attention_fusion_edge` or `vit_vlad_edge`",
        ) from exc
    network = config.network()
    load_weights(network, checkpoint, path)
    return TrainedSequence(network.eval(), config, recipe, names)
