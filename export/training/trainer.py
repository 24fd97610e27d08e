"""The trainer: one loop for every single-image network.

It resumes where it was stopped and keeps the last good weights. Mixed precision is bfloat16 where the
processor has it. The loop needs no GPU, and takes one where there is one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_runtime.errors import RoomtoneError
from edge_runtime.faces.alignment import TEMPLATES
from edge_runtime.faces.labelled import FER_LABELS, VOTE_COLUMNS
from edge_runtime.faces.precut import align_precut
from edge_runtime.frames.frame import Image
from edge_runtime.inference.cpu import instruction_set
from export.architectures import configure
from export.checkpoints import check_space, load_checkpoint, load_weights, save_checkpoint
from export.deploy import network_inputs, normalise
from export.training.batches import Batch, Batches
from export.training.datasets import TrainingFaces, check_sizes
from export.training.mixing import mix
from export.training.progress import EpochResult, Progress, Watch
from export.training.recipe import Recipe
from export.training.starting import start_from

_LOOK: Final = 256  # images of the choosing split that are classified at a time
_MEASURED: Final = 512  # training images that folded norms are measured on


class DivergedError(RoomtoneError):
    """The loss became NaN or infinite; the last good checkpoint is kept."""

    exit_code = 13

    def __init__(self, epoch: int, step: int, checkpoint: Path) -> None:
        self.epoch, self.step, self.checkpoint = epoch, step, checkpoint
        super().__init__(
            f"the loss is not a number in epoch {epoch}, step {step}",
            hint=f"lower the learning rate; {checkpoint} holds the last finished epoch, if there is one",
        )


def has_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is fast there; emulated, it is far slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return instruction_set() in ("AMX", "AVX-512 VNNI BF16")


class Trainer:
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
        self.recipe, self.folder, self.label_names = recipe, folder, label_names
        self._choosing = choosing
        self.started_from = "random weights"
        self._seconds = None if minutes is None else 60 * minutes
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        config = configure(recipe.architecture, len(label_names), recipe.changes)
        self._inputs = config.inputs
        self._batches = Batches(recipe, training, label_names, config.inputs)
        network = config.network()
        if start is not None:
            self.started_from = start_from(network, start, self._examples(training))
        self.network = network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.objective = config.objective(label_names).to(self._device)
        self.average = deepcopy(self.network).eval() if recipe.ema else self.network
        self.votes_head = self._make_votes_head()
        self._optimizer = self._make_optimizer()
        # Weights, their average, momentum and the kept checkpoint, and all of them again while they are replaced.
        check_space(folder, dict(self.network.state_dict()), 2 * 4)
        self.curve: list[EpochResult] = []
        self.steps_done = 0
        self._watch = Watch(clock)
        self._resume()

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in the training split."""
        return len(self._batches)

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
        share = self.steps_done / (self.recipe.epochs * self.steps_per_epoch)
        if self._seconds is not None:
            share = max(share, self._watch.seconds / self._seconds)
        return min(1.0, share)

    def _epoch(self, epoch: int, on_step: Callable[[Progress], None]) -> EpochResult:
        self.network.train()
        size_px = self.recipe.size_px(self._share())
        rng = np.random.default_rng((self.recipe.seed, epoch, 1))
        losses: list[float] = []
        for batch in self._batches.epoch(epoch, size_px):
            share = self._share()
            if share >= 1 and losses:  # the time is over
                break
            for group in self._optimizer.param_groups:
                group["lr"] = self.recipe.learning_rate * self._schedule(share)
            loss = self._step(batch, rng)
            if not math.isfinite(loss):
                raise DivergedError(epoch, len(losses) + 1, self.folder / "checkpoint.safetensors")
            self.steps_done += 1
            self._update_average()
            losses.append(loss)
            on_step(Progress(self.steps_done, self._share(), loss))
        return EpochResult(epoch, float(np.mean(losses)), self.accuracy(size_px), size_px)

    def _step(self, batch: Batch, rng: np.random.Generator) -> float:
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

    def _fed(self, crops: Image) -> list[Tensor]:
        return [tensor.to(self._device) for tensor in network_inputs(self._inputs, crops)]

    def _examples(self, training: TrainingFaces) -> list[Tensor]:
        rows, template = slice(0, _MEASURED), TEMPLATES[self.recipe.template]
        crops = align_precut(training.images[rows], training.located.rows(rows), template)
        return network_inputs(self._inputs, crops)

    def _make_votes_head(self) -> nn.Linear | None:
        """A second head on the features; None where no votes are learned."""
        if not self.recipe.votes_weight:
            return None
        size_px = TEMPLATES[self.recipe.template].size_px
        with torch.no_grad():
            features = self.network.eval()(*self._fed(np.zeros((1, size_px, size_px), np.uint8))).features
        return nn.Linear(features.shape[1], len(VOTE_COLUMNS)).to(self._device)

    def _make_optimizer(self) -> torch.optim.Optimizer:
        weights: list[nn.Parameter] = []
        others = list(self.objective.parameters())
        if self.votes_head is not None:
            others += self.votes_head.parameters()
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
    def _update_average(self) -> None:
        if not self.recipe.ema:
            return
        decay = min(self.recipe.ema, self.steps_done / (self.steps_done + 10))  # follows closely at first
        now = self.network.state_dict()
        for name, kept in self.average.state_dict().items():
            if kept.dtype.is_floating_point:
                kept.lerp_(now[name], 1 - decay)
            else:
                kept.copy_(now[name])

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

    def _facts(self) -> dict[str, Any]:
        return {
            "recipe": self.recipe.to_json(),
            "labels": list(self.label_names),
            "epochs_done": len(self.curve),
            "started_from": self.started_from,
            "steps_done": self.steps_done,
            "curve": [[row.epoch, row.loss, row.accuracy, row.size_px] for row in self.curve],
            "torch": torch.__version__,
        } | ({} if self._seconds is None else {"seconds": self._watch.seconds, "minutes": self._seconds / 60})

    def _save(self) -> None:
        state = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        state |= {f"objective.{name}": tensor for name, tensor in self.objective.state_dict().items()}
        if self.votes_head is not None:
            state |= {f"votes.{name}": tensor for name, tensor in self.votes_head.state_dict().items()}
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
        if "recipe" not in stored.facts or Recipe.from_json(stored.facts["recipe"]) != self.recipe:
            raise RoomtoneError(
                f"{path} belongs to another recipe",
                hint="give another --out, or delete the folder to start anew",
            )
        parts: list[tuple[str, nn.Module]] = [
            ("network.", self.network),
            ("objective.", self.objective),
            ("average.", self.average),
        ]
        if self.votes_head is not None:
            parts.append(("votes.", self.votes_head))
        for prefix, module in parts:
            weights = {n.removeprefix(prefix): t for n, t in stored.weights.items() if n.startswith(prefix)}
            load_weights(module, type(stored)(weights, stored.facts), path)
        parameters = [parameter for group in self._optimizer.param_groups for parameter in group["params"]]
        for index, parameter in enumerate(parameters):
            momentum = stored.weights[f"momentum.{index}"].to(parameter.device)
            self._optimizer.state[parameter]["momentum_buffer"] = momentum
        self.curve = [EpochResult(*row) for row in stored.facts["curve"]]
        self.steps_done = stored.facts["steps_done"]
        self._watch.go_on_from(stored.facts.get("seconds", 0.0))
