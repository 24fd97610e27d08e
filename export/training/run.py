"""The loop that every training run shares: schedule, steps, averaged weights, resuming, the last good checkpoint.

What is learned, and from what, is the business of `trainer.py` (faces) and `sequences/trainer.py` (clips). Mixed
precision is bfloat16 where the processor has it. The loop needs no GPU, and takes one where there is one.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from edge_runtime.errors import RoomtoneError
from edge_runtime.inference.cpu import instruction_set
from export.checkpoints import check_space, load_checkpoint, load_weights, save_checkpoint
from export.training.progress import EpochResult, Progress, Watch

B = TypeVar("B")


class DivergedError(RoomtoneError):
    """The loss became NaN or infinite; the last good checkpoint is kept."""

    exit_code = 13

    def __init__(self, epoch: int, step: int, checkpoint: Path) -> None:
        self.epoch, self.step, self.checkpoint = epoch, step, checkpoint
        super().__init__(
            f"the loss is not a number in epoch {epoch}, step {step}",
            hint=f"lower the learning rate; {checkpoint} holds the last finished epoch, if there is one",
        )


class RunRecipe(Protocol):
    """What the loop reads of a recipe."""

    @property
    def epochs(self) -> int:
        """Of the whole run."""

    @property
    def learning_rate(self) -> float:
        """Peak of the schedule."""

    @property
    def ema(self) -> float:
        """Decay of the moving average of the weights; 0 keeps the last ones."""

    @property
    def seed(self) -> int:
        """Of weights, order and augmentation."""

    def to_json(self) -> dict[str, Any]:
        """As plain types."""

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_json`."""


def has_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is fast there; emulated, it is far slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return instruction_set() in ("AMX", "AVX-512 VNNI BF16")


def training_device() -> torch.device:
    """A GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class TrainingRun(ABC, Generic[B]):
    """Trains one network after one recipe.

    Args:
        recipe: everything that makes the run.
        folder: for `state.safetensors` (to resume) and `checkpoint.safetensors`.
        label_names: of the classes, in order.
        network: with its first weights, on its device.
        objective: what gives its loss.
        heads: name → what is trained beside it and not kept.
        started_from: where the first weights are from, for the record.
        minutes: of wall-clock time after which the run ends, resumptions counted together; the schedule is
            then drawn out over the time instead of the epochs where that is shorter. None: the epochs alone.
        clock: seconds that only go forward, for `minutes`.

    Raises:
        CheckpointError, RoomtoneError: `folder` holds a state that is unreadable or another recipe's.
    """

    def __init__(
        self,
        recipe: RunRecipe,
        folder: Path,
        label_names: tuple[str, ...],
        network: nn.Module,
        objective: nn.Module,
        heads: Mapping[str, nn.Module],
        started_from: str = "random weights",
        minutes: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run_recipe, self.folder, self.label_names = recipe, folder, label_names
        self.started_from = started_from
        self.network, self.objective = network, objective
        self.average = deepcopy(network).eval() if recipe.ema else network
        self._parts = {"network": network, "objective": objective, "average": self.average, **heads}
        self._seconds = None if minutes is None else 60 * minutes
        self._device = next(network.parameters()).device
        self._optimizer = self._make_optimizer()
        # Weights, their average, momentum and the kept checkpoint, and all of them again while they are replaced.
        check_space(folder, dict(network.state_dict()), 2 * 4)
        self.curve: list[EpochResult] = []
        self.steps_done = 0
        self._watch = Watch(clock)
        self._resume()

    @property
    @abstractmethod
    def steps_per_epoch(self) -> int:
        """How many batches an epoch has."""

    @abstractmethod
    def _make_optimizer(self) -> torch.optim.Optimizer:
        """Over what is trained of the parts."""

    @abstractmethod
    def _size_px(self) -> int:
        """Side of the crops at this point of the run."""

    @abstractmethod
    def _epoch_batches(self, epoch: int) -> Iterator[B]:
        """The batches of one epoch, which decides their order together with the seed."""

    @abstractmethod
    def _loss(self, batch: B, rng: np.random.Generator) -> Tensor:
        """Of one batch, with a graph behind it."""

    @abstractmethod
    def accuracy(self, size_px: int) -> float:
        """How good the averaged network is on the choosing split, at this crop size."""

    def run(self, on_step: Callable[[Progress], None], on_epoch: Callable[[EpochResult], None]) -> Path:
        """Trains to the end of the recipe, or of the time.

        Args:
            on_step: called after each step.
            on_epoch: called after each epoch.

        Returns:
            The checkpoint.

        Raises:
            DivergedError: the loss is NaN or infinite.
        """
        is_over = self._share() >= 1
        while not is_over:
            result = self._epoch(len(self.curve) + 1, on_step)
            self.curve.append(result)
            is_over = self._share() >= 1  # before the time is stored, so that a run that is over stays so
            self._save()
            on_epoch(result)
        return self.folder / "checkpoint.safetensors"

    def _share(self) -> float:
        """How much of the run is done, 0 to 1: by steps, or by time where that ends it sooner."""
        share = self.steps_done / (self._run_recipe.epochs * self.steps_per_epoch)
        if self._seconds is not None:
            share = max(share, self._watch.seconds / self._seconds)
        return min(1.0, share)

    def _epoch(self, epoch: int, on_step: Callable[[Progress], None]) -> EpochResult:
        self.network.train()
        size_px = self._size_px()
        rng = np.random.default_rng((self._run_recipe.seed, epoch, 1))
        torch.manual_seed(
            1000 * self._run_recipe.seed + epoch
        )  # of dropout, so that a stopped run goes on alike
        losses: list[float] = []
        for batch in self._epoch_batches(epoch):
            share = self._share()
            if share >= 1 and losses:  # the time is over
                break
            for group in self._optimizer.param_groups:
                group["lr"] = self._run_recipe.learning_rate * self._schedule(share)
            loss = self._step(batch, rng)
            if not math.isfinite(loss):
                raise DivergedError(epoch, len(losses) + 1, self.folder / "checkpoint.safetensors")
            self.steps_done += 1
            self._update_average()
            losses.append(loss)
            on_step(Progress(self.steps_done, self._share(), loss))
        return EpochResult(epoch, float(np.mean(losses)), self.accuracy(size_px), size_px)

    def _step(self, batch: B, rng: np.random.Generator) -> float:
        loss = self._loss(batch, rng)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        return loss.item()

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=has_bfloat16(self._device))

    def _schedule(self, share: float) -> float:
        """Warm-up over half an epoch of steps, then half a cosine over what there is to do."""
        warm_up = max(1, self.steps_per_epoch // 2)
        return min(1.0, (self.steps_done + 1) / warm_up) * 0.5 * (1 + math.cos(math.pi * share))

    def _trained(self, weight_decay: float) -> list[dict[str, Any]]:
        """An optimizer's two groups: the network's matrices and kernels, and what weight decay spares."""
        weights: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for name, part in self._parts.items():
            if name == "average":
                continue
            for parameter in part.parameters():
                (weights if name == "network" and parameter.ndim > 1 else others).append(parameter)
        return [
            {"params": weights, "weight_decay": weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]

    @torch.no_grad()
    def _update_average(self) -> None:
        if not self._run_recipe.ema:
            return
        decay = min(
            self._run_recipe.ema, self.steps_done / (self.steps_done + 10)
        )  # follows closely at first
        now = self.network.state_dict()
        for name, kept in self.average.state_dict().items():
            if kept.dtype.is_floating_point:
                kept.lerp_(now[name], 1 - decay)
            else:
                kept.copy_(now[name])

    def _facts(self) -> dict[str, Any]:
        return {
            "recipe": self._run_recipe.to_json(),
            "labels": list(self.label_names),
            "epochs_done": len(self.curve),
            "started_from": self.started_from,
            "steps_done": self.steps_done,
            "curve": [[row.epoch, row.loss, row.accuracy, row.size_px] for row in self.curve],
            "torch": torch.__version__,
        } | ({} if self._seconds is None else {"seconds": self._watch.seconds, "minutes": self._seconds / 60})

    def _parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self._optimizer.param_groups for parameter in group["params"]]

    def _save(self) -> None:
        state = {
            f"{part}.{name}": tensor
            for part, module in self._parts.items()
            for name, tensor in module.state_dict().items()
        }
        for index, parameter in enumerate(self._parameters()):
            for name, tensor in self._optimizer.state.get(parameter, {}).items():
                state[f"optimizer.{index}.{name}"] = tensor
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
        recipe = stored.facts.get("recipe")
        if recipe is None or _another(self._run_recipe, recipe):
            raise RoomtoneError(
                f"{path} belongs to another recipe",
                hint="give another --out, or delete the folder to start anew",
            )
        for part, module in self._parts.items():
            prefix = f"{part}."
            weights = {n.removeprefix(prefix): t for n, t in stored.weights.items() if n.startswith(prefix)}
            load_weights(module, type(stored)(weights, stored.facts), path)
        for index, parameter in enumerate(self._parameters()):
            prefix = f"optimizer.{index}."
            for name, tensor in stored.weights.items():
                if name.startswith(prefix):
                    key = name.removeprefix(prefix)
                    device = "cpu" if key == "step" else parameter.device
                    self._optimizer.state[parameter][key] = tensor.to(device)
        self.curve = [EpochResult(*row) for row in stored.facts["curve"]]
        self.steps_done = stored.facts["steps_done"]
        self._watch.go_on_from(stored.facts.get("seconds", 0.0))


def _another(recipe: RunRecipe, stored: dict[str, Any]) -> bool:
    try:
        return type(recipe).from_json(stored) != recipe
    except (KeyError, TypeError):  # of another kind of run
        return True
