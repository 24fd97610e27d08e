"""Training the landmark network: marked faces in, a checkpoint out; by the same loop as the classifiers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from edge_runtime.errors import ConfigurationError, Fault
from edge_runtime.faces.alignment import FloatArray, align, default_pupils, similarity
from edge_runtime.faces.landmarks import LANDMARK_TEMPLATE, to_crop
from edge_runtime.faces.marked import MarkedFaces, eye_distance
from edge_runtime.frames.frame import Image
from export.architectures.landmark_net import LandmarkNetConfig, LandmarkObjective
from export.deploy import normalise
from export.training.landmark_cuts import CutAugmentation, CutBatch, CutBatches, rendered_faces
from export.training.run import TrainingRun, training_device

_LOOK: Final = 256  # faces of the choosing split that are marked at a time


@dataclass(frozen=True, slots=True)
class LandmarkRecipe:
    """How the landmark network is trained.

    Attributes:
        epochs: passes over photographs and rendered faces.
        batch_size: faces in a step.
        learning_rate: peak of the schedule, see `TrainingRun`; of AdamW.
        weight_decay: spares norms and biases.
        ema: decay of the moving average of the weights, which is what is looked at and kept.
        rendered: how many drawn faces stand beside the photographs.
        seed: of weights, order and augmentation.
        augmentation: see there.
    """

    epochs: int = 100
    batch_size: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    ema: float = 0.998
    rendered: int = 800
    seed: int = 0
    augmentation: CutAugmentation = field(default_factory=CutAugmentation)

    def to_json(self) -> dict[str, Any]:
        """As plain types, for the checkpoint's metadata."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> LandmarkRecipe:
        """The inverse of `to_json`."""
        return cls(**{**values, "augmentation": CutAugmentation(**values["augmentation"])})


class LandmarkTrainer(TrainingRun[CutBatch]):
    """Trains after one recipe.

    Args:
        recipe: everything that makes the run.
        training: the split to learn from.
        choosing: other persons, on whom the error is watched; never those that are reported.
        folder: for `state.safetensors` (to resume) and `checkpoint.safetensors`.
        minutes: see `TrainingRun`.

    Raises:
        ConfigurationError: the training split is smaller than a batch.
        CheckpointError, RoomtoneError: `folder` holds a state that is unreadable or another recipe's.
    """

    def __init__(
        self,
        recipe: LandmarkRecipe,
        training: MarkedFaces,
        choosing: MarkedFaces,
        folder: Path,
        minutes: float | None = None,
    ) -> None:
        if len(training) < recipe.batch_size:
            problem = f"{len(training)} faces are less than one batch of {recipe.batch_size}"
            raise ConfigurationError("the training data", [Fault("training", problem)])
        torch.manual_seed(recipe.seed)
        self.recipe, self._choosing = recipe, choosing
        sets = [training]
        if recipe.rendered:
            rng = np.random.default_rng((recipe.seed, 0))
            sets.append(rendered_faces(recipe.rendered, training.images.shape[2], rng))
        self._batches = CutBatches(sets, recipe.augmentation, recipe.batch_size, recipe.seed)
        config = LandmarkNetConfig()
        network = config.network()
        network.start_at(torch.from_numpy(_points(training).mean(axis=0)))
        network = network.to(training_device(), memory_format=torch.channels_last)  # type: ignore[call-overload]
        super().__init__(recipe, folder, (), network, LandmarkObjective(config), {}, minutes=minutes)

    @property
    def steps_per_epoch(self) -> int:
        """See `TrainingRun`."""
        return len(self._batches)

    def _make_optimizer(self) -> torch.optim.Optimizer:
        groups = self._trained(self.recipe.weight_decay)
        return torch.optim.AdamW(groups, lr=self.recipe.learning_rate)

    def _size_px(self) -> int:
        return LANDMARK_TEMPLATE.size_px

    def _epoch_batches(self, epoch: int) -> Iterator[CutBatch]:
        return self._batches.epoch(epoch)

    def _loss(self, batch: CutBatch, rng: np.random.Generator) -> Tensor:
        del rng
        with self._autocast():
            output = self.network(self._fed(batch.crops))
        loss: Tensor = self.objective(output, batch.points.to(self._device), batch.scale.to(self._device))
        return loss

    @torch.no_grad()
    def accuracy(self, size_px: int) -> float:
        """One minus the mean error on the choosing split, by the distance of the outer eye corners."""
        del size_px
        truth, crops = _points(self._choosing), torch.from_numpy(_plain_cuts(self._choosing))
        self.average.eval()
        parts = [self.average(self._fed(some)).points.float().cpu() for some in torch.split(crops, _LOOK)]
        far = np.linalg.norm((torch.cat(parts).numpy() - truth).reshape(len(truth), -1, 2), axis=2)
        return 1 - float((far.mean(axis=1) / eye_distance(truth.reshape(len(truth), -1, 2))).mean())

    def _fed(self, crops: Tensor) -> Tensor:
        return normalise(crops.to(self._device)).contiguous(memory_format=torch.channels_last)


def _points(faces: MarkedFaces) -> FloatArray:
    """(N, 136): the marks in cuts that are made of the boxes as they are."""
    matrices = similarity(default_pupils(faces.boxes_xyxy), LANDMARK_TEMPLATE)
    return to_crop(faces.marks_xy, matrices, LANDMARK_TEMPLATE).reshape(len(faces), -1)


def _plain_cuts(faces: MarkedFaces) -> Image:
    pupils = default_pupils(faces.boxes_xyxy)
    size = LANDMARK_TEMPLATE.size_px
    cuts = np.empty((len(faces), size, size), np.uint8)
    for row, image in enumerate(faces.images):
        align(image, pupils[row : row + 1], LANDMARK_TEMPLATE, out=cuts[row : row + 1])
    return cuts
