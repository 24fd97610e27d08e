"""Training of networks of sequences: what a step learns; the loop itself is `export.training.run`'s."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from edge_runtime.faces.alignment import TEMPLATES
from export.architectures import configure_sequence
from export.architectures.layers import SequenceTargets
from export.deploy import normalise
from export.training.run import TrainingRun, training_device
from export.training.sequences.batches import AS_SEEN, SequenceBatch, SequenceBatches, TrainingClips, cut
from export.training.sequences.clips import Clips
from export.training.sequences.recipe import SequenceRecipe

_LOOK: Final = 32  # clips that are classified at a time


class SequenceTrainer(TrainingRun[SequenceBatch]):
    """Trains one network of sequences after one recipe.

    Args:
        recipe: everything that makes the run.
        training: clips to learn from.
        choosing: sets of clips that accuracy is watched on, as the mean over the sets.
        folder: for `state.safetensors` (to resume) and `checkpoint.safetensors`.
        label_names: of the classes, in order.
        minutes: see `TrainingRun`.
        clock: likewise.

    Raises:
        ConfigurationError: no such network, or a change that it cannot take.
        CheckpointError, RoomtoneError: `folder` holds a state that is unreadable or another recipe's.
    """

    def __init__(
        self,
        recipe: SequenceRecipe,
        training: TrainingClips,
        choosing: tuple[Clips, ...],
        folder: Path,
        label_names: tuple[str, ...],
        minutes: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self._choosing = recipe, choosing
        config = configure_sequence(recipe.architecture, len(label_names), recipe.changes)
        self.config = config
        self._batches = SequenceBatches(recipe, training, config.inputs)
        device = training_device()
        network = config.network().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        objective = config.objective(label_names).to(device)
        super().__init__(recipe, folder, label_names, network, objective, {}, minutes=minutes, clock=clock)

    @property
    def steps_per_epoch(self) -> int:
        """As the recipe says."""
        return self.recipe.epoch_steps

    def _size_px(self) -> int:
        return TEMPLATES[self.recipe.template].size_px

    def _epoch_batches(self, epoch: int) -> Iterator[SequenceBatch]:
        return self._batches.epoch(epoch, still=self._share() < self.recipe.still_share)

    def _make_optimizer(self) -> torch.optim.Optimizer:
        groups = self._trained(self.recipe.weight_decay)
        return torch.optim.AdamW(groups, lr=self.recipe.learning_rate)

    def _loss(self, batch: SequenceBatch, rng: np.random.Generator) -> Tensor:
        del rng
        output = self._output(self.network, batch)
        labels, frames, dimensions = (part.to(self._device) for part in batch.targets)
        frames = frames.expand(-1, self.config.frames, -1)
        loss: Tensor = self.objective(output, SequenceTargets(labels, frames, dimensions))
        return loss

    def _output(self, network: nn.Module, batch: SequenceBatch) -> Any:
        with self._autocast():
            features = encode(network, batch.inputs, self.config.inputs)
        sequence = features.float().reshape(-1, batch.frames, features.shape[1])
        return network.head(sequence.expand(-1, self.config.frames, -1))  # type: ignore[operator]

    @torch.no_grad()
    def accuracy(self, size_px: int) -> float:
        """Share of the choosing clips whose newest frame is classified as it is, as the mean over their sets."""
        del size_px
        self.average.eval()
        template, shares = TEMPLATES[self.recipe.template], []
        for clips in self._choosing:
            rng, right = np.random.default_rng(self.recipe.seed), 0
            for start in range(0, len(clips), _LOOK):
                rows = np.arange(start, min(start + _LOOK, len(clips)))
                part = clips.rows(rows)
                output = self._output(self.average, cut(part, self.config.inputs, template, AS_SEEN, rng))
                right += int((output.logits.argmax(1).cpu().numpy() == part.labels).sum())
            shares.append(right / len(clips))
        return float(np.mean(shares))


def encode(network: nn.Module, arrays: Mapping[str, Tensor], inputs: tuple[str, ...]) -> Tensor:
    """(B, F) features of single frames, on the network's device: kind → (B, …), as in `SequenceBatch`."""
    device = next(network.parameters()).device
    fed = []
    for kind in inputs:
        tensor = arrays[kind].to(device)
        if kind == "crop":
            tensor = normalise(tensor).contiguous(memory_format=torch.channels_last)
        fed.append(tensor)
    features: Tensor = network.encode(*fed)  # type: ignore[operator]
    return features
