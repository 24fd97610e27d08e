"""Training the landmark network: marked faces in, a checkpoint out. Resumes where it was stopped.

Its own loop beside `trainer.py`'s: it learns coordinates and not classes, of cuts and not of aligned crops, and watches
an error and not an accuracy. What the two share is `progress`, the checkpoints, and the augmentation's parts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from edge_runtime.errors import ConfigurationError, Fault, RoomtoneError
from edge_runtime.faces.alignment import align, default_pupils, similarity
from edge_runtime.faces.landmarks import LANDMARK_TEMPLATE, to_crop
from edge_runtime.faces.marked import MarkedFaces, eye_distance
from edge_runtime.frames.frame import Image
from export.architectures.landmark_net import LandmarkNetConfig, LandmarkObjective
from export.checkpoints import check_space, load_checkpoint, load_weights, save_checkpoint
from export.deploy import normalise
from export.training.landmark_cuts import CutAugmentation, CutBatches, rendered_faces
from export.training.progress import Progress
from export.training.run import DivergedError, has_bfloat16

_LOOK: Final = 256  # faces of the choosing split that are marked at a time
STATE: Final = "state.safetensors"
CHECKPOINT: Final = "checkpoint.safetensors"


@dataclass(frozen=True, slots=True)
class LandmarkRecipe:
    """How the landmark network is trained.

    Attributes:
        epochs: passes over photographs and rendered faces.
        batch_size: faces in a step.
        learning_rate: peak of the schedule (linear warm-up over an epoch, then half a cosine down to zero); AdamW.
        weight_decay: spares norms and biases.
        ema: decay of the moving average of the weights, which is what is looked at and kept.
        rendered: how many drawn faces stand beside the photographs.
        seed: of weights, order and augmentation.
        augmentation: see there.
    """

    epochs: int = 150
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


@dataclass(frozen=True, slots=True)
class LandmarkEpoch:
    """One row of the learning curve: mean loss of its steps, and the error on the choosing split."""

    epoch: int
    loss: float
    error: float


class LandmarkTrainer:
    """Trains after one recipe.

    Args:
        recipe: everything that makes the run.
        training: the split to learn from.
        choosing: other persons, on whom the error is watched; never those that are reported.
        folder: for `state.safetensors` (to resume) and `checkpoint.safetensors`.

    Raises:
        ConfigurationError: the training split is smaller than a batch.
        CheckpointError, RoomtoneError: `folder` holds a state that is unreadable or another recipe's.
    """

    def __init__(
        self, recipe: LandmarkRecipe, training: MarkedFaces, choosing: MarkedFaces, folder: Path
    ) -> None:
        if len(training) < recipe.batch_size:
            problem = f"{len(training)} faces are less than one batch of {recipe.batch_size}"
            raise ConfigurationError("the training data", [Fault("training", problem)])
        torch.manual_seed(recipe.seed)
        self.recipe, self.folder = recipe, folder
        self._choosing = choosing
        config = LandmarkNetConfig()
        sets = [training]
        if recipe.rendered:
            rng = np.random.default_rng((recipe.seed, 0))
            sets.append(rendered_faces(recipe.rendered, training.images.shape[2], rng))
        self._batches = CutBatches(sets, recipe.augmentation, recipe.batch_size, recipe.seed)
        network = config.network()
        network.start_at(torch.from_numpy(_points(training).mean(axis=0)))
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._objective = LandmarkObjective(config)
        self.average = deepcopy(self.network).eval()
        self._optimizer = self._make_optimizer()
        self._is_half = has_bfloat16(torch.device("cpu"))
        check_space(folder, dict(self.network.state_dict()), 2 * 5)
        self.curve: list[LandmarkEpoch] = []
        self._steps_done = 0
        self._resume()

    def run(
        self,
        on_step: Callable[[Progress], None],
        on_epoch: Callable[[LandmarkEpoch], None] = lambda row: None,
    ) -> Path:
        """Trains to the end of the recipe.

        Args:
            on_step: called after each step.
            on_epoch: called after each epoch.

        Returns:
            The checkpoint.

        Raises:
            DivergedError: the loss is NaN or infinite.
        """
        while len(self.curve) < self.recipe.epochs:
            result = self._epoch(len(self.curve) + 1, on_step)
            self.curve.append(result)
            self._save()
            on_epoch(result)
        return self.folder / CHECKPOINT

    def _epoch(self, epoch: int, on_step: Callable[[Progress], None]) -> LandmarkEpoch:
        self.network.train()
        losses: list[float] = []
        steps = self.recipe.epochs * len(self._batches)
        for batch in self._batches.epoch(epoch):
            share = self._steps_done / steps
            warm_up = min(1.0, (self._steps_done + 1) / len(self._batches))
            for group in self._optimizer.param_groups:
                group["lr"] = self.recipe.learning_rate * warm_up * 0.5 * (1 + math.cos(math.pi * share))
            cuts = normalise(batch.crops).to(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16, enabled=self._is_half):
                output = self.network(cuts)
            loss = self._objective(output, batch.points, batch.scale)
            if not math.isfinite(loss.item()):
                raise DivergedError(epoch, len(losses) + 1, self.folder / CHECKPOINT)
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
            self._steps_done += 1
            self._update_average()
            losses.append(loss.item())
            on_step(Progress(self._steps_done, self._steps_done / steps, losses[-1]))
        return LandmarkEpoch(epoch, float(np.mean(losses)), self.error())

    @torch.no_grad()
    def error(self) -> float:
        """Mean error of the averaged network on the choosing split, by the distance of the outer eye corners."""
        truth = _points(self._choosing)
        crops = _plain_cuts(self._choosing)
        found = np.concatenate(
            [
                self.average(normalise(torch.from_numpy(crops[start : start + _LOOK]))).points.numpy()
                for start in range(0, len(crops), _LOOK)
            ]
        )
        far = np.linalg.norm((found - truth).reshape(len(truth), -1, 2), axis=2).mean(axis=1)
        return float((far / eye_distance(truth.reshape(len(truth), -1, 2))).mean())

    def _make_optimizer(self) -> torch.optim.Optimizer:
        weights: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for parameter in self.network.parameters():
            (weights if parameter.ndim > 1 else others).append(parameter)
        return torch.optim.AdamW(
            [
                {"params": weights, "weight_decay": self.recipe.weight_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=self.recipe.learning_rate,
        )

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.recipe.ema, self._steps_done / (self._steps_done + 10))  # follows closely at first
        now = self.network.state_dict()
        for name, kept in self.average.state_dict().items():
            if kept.dtype.is_floating_point:
                kept.lerp_(now[name], 1 - decay)
            else:
                kept.copy_(now[name])

    def _facts(self) -> dict[str, Any]:
        return {
            "landmark_recipe": self.recipe.to_json(),
            "epochs_done": len(self.curve),
            "steps_done": self._steps_done,
            "curve": [[row.epoch, row.loss, row.error] for row in self.curve],
            "torch": torch.__version__,
        }

    def _save(self) -> None:
        state = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        state |= {f"average.{name}": tensor for name, tensor in self.average.state_dict().items()}
        for index, slot in self._optimizer.state_dict()["state"].items():
            state |= {f"optimizer.{index}.{name}": tensor for name, tensor in slot.items()}
        save_checkpoint(self.folder / STATE, state, self._facts())
        save_checkpoint(self.folder / CHECKPOINT, dict(self.average.state_dict()), self._facts())

    def _resume(self) -> None:
        """Goes on from `state.safetensors` if it is there and of the same recipe."""
        path = self.folder / STATE
        if not path.exists():
            return
        stored = load_checkpoint(path)
        recipe = stored.facts.get("landmark_recipe")
        if recipe is None or LandmarkRecipe.from_json(recipe) != self.recipe:
            raise RoomtoneError(
                f"{path} belongs to another recipe",
                hint="give another --out, or delete the folder to start anew",
            )
        for prefix, module in (("network.", self.network), ("average.", self.average)):
            weights = {n.removeprefix(prefix): t for n, t in stored.weights.items() if n.startswith(prefix)}
            load_weights(module, type(stored)(weights, stored.facts), path)
        slots: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in stored.weights.items():
            if name.startswith("optimizer."):
                _, index, slot = name.split(".")
                slots.setdefault(int(index), {})[slot] = tensor
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": slots, "param_groups": groups})
        self.curve = [LandmarkEpoch(*row) for row in stored.facts["curve"]]
        self._steps_done = stored.facts["steps_done"]


def _points(faces: MarkedFaces) -> np.ndarray:
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
