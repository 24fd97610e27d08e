"""Training of single-image networks: labelled faces, cut anew in each epoch.

The loop itself is `run.py`'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_runtime.faces.alignment import TEMPLATES
from edge_runtime.faces.labelled import FER_LABELS, VOTE_COLUMNS
from edge_runtime.faces.precut import align_precut
from edge_runtime.frames.frame import Image
from export.architectures import configure
from export.deploy import network_inputs, normalise
from export.training.batches import Batch, Batches
from export.training.datasets import TrainingFaces, check_sizes
from export.training.mixing import mix
from export.training.recipe import Recipe
from export.training.run import TrainingRun, training_device
from export.training.starting import start_from

_LOOK: Final = 256  # images of the choosing split that are classified at a time
_MEASURED: Final = 512  # training images that folded norms are measured on


class Trainer(TrainingRun[Batch]):
    """Trains one network after one recipe.

    Args:
        recipe: everything that makes the run.
        training: the split to learn from.
        choosing: the split that accuracy is watched on; never the one that is reported.
        folder: for `state.safetensors` (to resume) and `checkpoint.safetensors`.
        label_names: of the classes, in order.
        minutes: of wall-clock time after which the run ends, resumptions counted together; the schedule is
            then drawn out over the time instead of the epochs where that is shorter. None: the epochs alone.
        start: a checkpoint or bundle to take the first weights from; None: random ones.
        clock: seconds that only go forward, for `minutes`.

    Raises:
        ConfigurationError: a split holds too few images, or none of a class.
        CheckpointError, RoomtoneError: `folder` holds a state that is unreadable or another recipe's.
    """

    def __init__(
        self,
        recipe: Recipe,
        training: TrainingFaces,
        choosing: TrainingFaces,
        folder: Path,
        label_names: tuple[str, ...] = FER_LABELS,
        minutes: float | None = None,
        start: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_sizes(recipe.batch_size, training, choosing, label_names)
        torch.manual_seed(recipe.seed)
        self.recipe, self._choosing = recipe, choosing
        config = configure(recipe.architecture, len(label_names), recipe.changes)
        self._inputs = config.inputs
        self._batches = Batches(recipe, training, label_names, config.inputs)
        network, device = config.network(), training_device()
        started_from = "random weights"
        if start is not None:
            started_from = start_from(network, start, self._examples(training), len(label_names))
        network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        objective = config.objective(label_names).to(device)
        self.votes_head = self._make_votes_head(network, device)
        heads = {} if self.votes_head is None else {"votes": self.votes_head}
        super().__init__(recipe, folder, label_names, network, objective, heads, started_from, minutes, clock)

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in the training split."""
        return len(self._batches)

    def _size_px(self) -> int:
        return self.recipe.size_px(self._share())

    def _epoch_batches(self, epoch: int) -> Iterator[Batch]:
        return self._batches.epoch(epoch, self._size_px())

    def _loss(self, batch: Batch, rng: np.random.Generator) -> Tensor:
        beside = [
            tensor.to(self._device) for tensor in (batch.targets, batch.votes, *batch.features.values())
        ]
        images = normalise(batch.crops.to(self._device))
        images, (labels, votes, *features) = mix(images, beside, self.recipe, rng)
        fed = dict(zip(batch.features, features, strict=True))
        fed["crop"] = images.contiguous(memory_format=torch.channels_last)
        with self._autocast():
            output = self.network(*(fed[kind] for kind in self._inputs))
        loss: Tensor = self.objective(output, labels)
        if self.votes_head is not None:
            guess = self.votes_head(output.features.float())
            loss = loss + self.recipe.votes_weight * F.cross_entropy(guess, votes)
        return loss

    def _fed(self, crops: Image) -> list[Tensor]:
        return [tensor.to(self._device) for tensor in network_inputs(self._inputs, crops)]

    def _examples(self, training: TrainingFaces) -> list[Tensor]:
        rows, template = slice(0, _MEASURED), TEMPLATES[self.recipe.template]
        crops = align_precut(training.images[rows], training.located.rows(rows), template)
        return network_inputs(self._inputs, crops)

    def _make_votes_head(self, network: nn.Module, device: torch.device) -> nn.Linear | None:
        """A second head on the features; None where no votes are learned."""
        if not self.recipe.votes_weight:
            return None
        size_px = TEMPLATES[self.recipe.template].size_px
        crop = np.zeros((1, size_px, size_px), np.uint8)
        fed = [tensor.to(device) for tensor in network_inputs(self._inputs, crop)]
        with torch.no_grad():
            features = network.eval()(*fed).features
        return nn.Linear(features.shape[1], len(VOTE_COLUMNS)).to(device)

    def _make_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            self._trained(self.recipe.weight_decay),
            lr=self.recipe.learning_rate,
            momentum=self.recipe.momentum,
            nesterov=True,
        )

    @torch.no_grad()
    def accuracy(self, size_px: int) -> float:
        """Share of the choosing split that the averaged network classifies as labelled, at this crop size."""
        self.average.eval()
        template, faces, right = TEMPLATES[self.recipe.template].resized(size_px), self._choosing, 0
        for start in range(0, len(faces.labels), _LOOK):
            rows = slice(start, start + _LOOK)
            crops = align_precut(faces.images[rows], faces.located.rows(rows), template)
            with self._autocast():
                logits = self.average(*self._fed(crops)).logits
            right += int((logits.argmax(1).cpu().numpy() == faces.labels[rows]).sum())
        return right / len(faces.labels)
