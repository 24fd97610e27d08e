"""The trainer: one loop for every single-image network.

It resumes where it was stopped and keeps the last good weights. Mixed precision is bfloat16 where the
processor has it. The loop needs no GPU, and takes one where there is one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_runtime.errors import ConfigurationError, Fault, RoomtoneError
from edge_runtime.faces.alignment import TEMPLATES
from edge_runtime.faces.labelled import FER_LABELS
from edge_runtime.faces.precut import align_precut
from edge_runtime.frames.frame import Image
from export.architectures import build
from export.checkpoints import load_checkpoint, load_weights, save_checkpoint
from export.deploy import normalise
from export.training.datasets import TrainingFaces
from export.training.recipe import Recipe


class DivergedError(RoomtoneError):
    """The loss became NaN or infinite; the last good checkpoint is kept."""

    exit_code = 13

    def __init__(self, epoch: int, step: int, checkpoint: Path) -> None:
        self.epoch, self.step, self.checkpoint = epoch, step, checkpoint
        super().__init__(
            f"the loss is not a number in epoch {epoch}, step {step}",
            hint=f"lower the learning rate; {checkpoint} holds the last finished epoch, if there is one",
        )


@dataclass(frozen=True, slots=True)
class EpochResult:
    """One row of the learning curve: mean training loss, and accuracy on the choosing split, in [0, 1]."""

    epoch: int
    loss: float
    accuracy: float


class Trainer:
    """Trains one network after one recipe.

    Args:
        recipe: everything that makes the run.
        training: the split to learn from.
        choosing: the split that accuracy is watched on; never the one that is reported.
        folder: for `state.safetensors` (to resume) and `checkpoint.safetensors`.
        label_names: of the classes, in order.

    Raises:
        ConfigurationError: a split holds too few images.
        CheckpointError, RoomtoneError: `folder` holds a state that is unreadable or another recipe's.
    """

    def __init__(
        self,
        recipe: Recipe,
        training: TrainingFaces,
        choosing: TrainingFaces,
        folder: Path,
        label_names: tuple[str, ...] = FER_LABELS,
    ) -> None:
        _check_sizes(recipe, training, choosing)
        torch.manual_seed(recipe.seed)
        self.recipe, self.folder, self.label_names = recipe, folder, label_names
        self._training = training
        self._template = TEMPLATES[recipe.template]
        self._choosing_crops = align_precut(choosing.images, choosing.located, self._template)
        self._choosing_labels = choosing.labels
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network, objective = build(recipe.architecture, len(label_names))
        self.network = network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.objective = objective.to(self._device)
        self.average = deepcopy(self.network).eval() if recipe.ema else self.network
        self._optimizer = self._make_optimizer()
        self.curve: list[EpochResult] = []
        self._resume()

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in the training split."""
        return len(self._training.labels) // self.recipe.batch_size

    def run(
        self, on_step: Callable[[int, int, float], None], on_epoch: Callable[[EpochResult], None]
    ) -> Path:
        """Trains to the end of the recipe.

        Args:
            on_step: called with (steps done, steps in all, loss).
            on_epoch: called after each epoch.

        Returns:
            The checkpoint.

        Raises:
            DivergedError: the loss is NaN or infinite.
        """
        for epoch in range(len(self.curve) + 1, self.recipe.epochs + 1):
            result = self._epoch(epoch, on_step)
            self.curve.append(result)
            self._save()
            on_epoch(result)
        return self.folder / "checkpoint.safetensors"

    def _epoch(self, epoch: int, on_step: Callable[[int, int, float], None]) -> EpochResult:
        self.network.train()
        total = self.recipe.epochs * self.steps_per_epoch
        losses = []
        for index, (crops, targets) in enumerate(self._batches(epoch), start=1):
            step = (epoch - 1) * self.steps_per_epoch + index
            for group in self._optimizer.param_groups:
                group["lr"] = self.recipe.learning_rate * self._schedule(step, total)
            loss = self._step(crops.to(self._device), targets.to(self._device))
            if not math.isfinite(loss):
                raise DivergedError(epoch, index, self.folder / "checkpoint.safetensors")
            self._update_average(step)
            losses.append(loss)
            on_step(step, total, loss)
        return EpochResult(epoch, float(np.mean(losses)), self.accuracy())

    def _step(self, crops: Tensor, targets: Tensor) -> float:
        with torch.autocast(self._device.type, torch.bfloat16):
            output = self.network(normalise(crops).contiguous(memory_format=torch.channels_last))
        loss: Tensor = self.objective(output, targets)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        return loss.item()

    def _batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Shuffled, freshly cut batches; the next one is cut in a thread meanwhile."""
        rng = np.random.default_rng((self.recipe.seed, epoch))
        order = rng.permutation(len(self._training.labels))
        size = self.recipe.batch_size

        def cut(start: int) -> tuple[Image, Tensor]:
            rows = np.sort(order[start : start + size])
            crops = self.recipe.augmentation.crops(
                self._training.images[rows], self._training.pupils_xy[rows], self._template, rng
            )
            one_hot = F.one_hot(torch.from_numpy(self._training.labels[rows]), len(self.label_names)).float()
            smooth = self.recipe.label_smoothing
            return crops, one_hot * (1 - smooth) + smooth / len(self.label_names)

        with ThreadPoolExecutor(1) as pool:
            upcoming = pool.submit(cut, 0)
            for index in range(self.steps_per_epoch):
                crops, targets = upcoming.result()
                if index + 1 < self.steps_per_epoch:
                    upcoming = pool.submit(cut, (index + 1) * size)
                yield torch.from_numpy(crops), targets

    def _schedule(self, step: int, total: int) -> float:
        warm_up = max(1, self.steps_per_epoch // 2)
        return min(1.0, step / warm_up) * 0.5 * (1 + math.cos(math.pi * (step - 1) / total))

    def _make_optimizer(self) -> torch.optim.Optimizer:
        weights: list[nn.Parameter] = []
        others = list(self.objective.parameters())
        for parameter in self.network.parameters():
            (weights if parameter.ndim > 1 else others).append(parameter)
        return torch.optim.SGD(
            [
                {"params": weights, "weight_decay": self.recipe.weight_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=self.recipe.learning_rate,
            momentum=self.recipe.momentum,
            nesterov=True,
        )

    @torch.no_grad()
    def _update_average(self, step: int) -> None:
        if not self.recipe.ema:
            return
        decay = min(self.recipe.ema, step / (step + 10))  # follows closely at first
        now = self.network.state_dict()
        for name, kept in self.average.state_dict().items():
            if kept.dtype.is_floating_point:
                kept.lerp_(now[name], 1 - decay)
            else:
                kept.copy_(now[name])

    @torch.no_grad()
    def accuracy(self) -> float:
        """Share of the choosing split that the averaged network classifies as labelled."""
        self.average.eval()
        right = 0
        for start in range(0, len(self._choosing_labels), 256):
            crops = torch.from_numpy(self._choosing_crops[start : start + 256]).to(self._device)
            logits = self.average(normalise(crops)).logits
            right += int((logits.argmax(1).cpu().numpy() == self._choosing_labels[start : start + 256]).sum())
        return right / len(self._choosing_labels)

    def _facts(self) -> dict[str, Any]:
        return {
            "recipe": self.recipe.to_json(),
            "labels": list(self.label_names),
            "epochs_done": len(self.curve),
            "curve": [[result.epoch, result.loss, result.accuracy] for result in self.curve],
            "torch": torch.__version__,
        }

    def _save(self) -> None:
        state = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        state |= {f"objective.{name}": tensor for name, tensor in self.objective.state_dict().items()}
        state |= {f"average.{name}": tensor for name, tensor in self.average.state_dict().items()}
        for index, slot in enumerate(self._optimizer.state.values()):
            state[f"momentum.{index}"] = slot["momentum_buffer"]
        save_checkpoint(self.folder / "state.safetensors", state, self._facts())
        save_checkpoint(
            self.folder / "checkpoint.safetensors", dict(self.average.state_dict()), self._facts()
        )

    def _resume(self) -> None:
        """Goes on from `state.safetensors` if it is there and of the same recipe."""
        path = self.folder / "state.safetensors"
        if not path.exists():
            return
        stored = load_checkpoint(path)
        if stored.facts.get("recipe") != self.recipe.to_json():
            raise RoomtoneError(
                f"{path} belongs to another recipe",
                hint="give another --out, or delete the folder to start anew",
            )
        parts: tuple[tuple[str, nn.Module], ...] = (
            ("network.", self.network),
            ("objective.", self.objective),
            ("average.", self.average),
        )
        for prefix, module in parts:
            weights = {n.removeprefix(prefix): t for n, t in stored.weights.items() if n.startswith(prefix)}
            load_weights(module, type(stored)(weights, stored.facts), path)
        parameters = [parameter for group in self._optimizer.param_groups for parameter in group["params"]]
        for index, parameter in enumerate(parameters):
            momentum = stored.weights[f"momentum.{index}"].to(parameter.device)
            self._optimizer.state[parameter]["momentum_buffer"] = momentum
        self.curve = [EpochResult(*row) for row in stored.facts["curve"]]


def _check_sizes(recipe: Recipe, training: TrainingFaces, choosing: TrainingFaces) -> None:
    faults = []
    if len(training.labels) < recipe.batch_size:
        faults.append(
            Fault("training", f"{len(training.labels)} images are less than one batch of {recipe.batch_size}")
        )
    if len(choosing.labels) == 0:
        faults.append(Fault("public", "holds no images, so that nothing tells how good the network is"))
    if faults:
        raise ConfigurationError(
            "the training data", faults, hint="give more images, or a smaller --batch-size"
        )
