"""Training StarGAN on labelled faces, by the loop of all runs; and the pictures that it makes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edge_runtime.errors import ConfigurationError
from edge_runtime.faces.alignment import LOOSE_TEMPLATE, FloatArray
from edge_runtime.faces.precut import align_precut
from edge_runtime.frames.frame import Image
from export.checkpoints import CheckpointError, load_checkpoint, load_weights
from export.training.datasets import TrainingFaces
from export.training.run import TrainingRun, training_device
from export.training.sequences.clips import Clips
from export.training.sequences.grown import places_of
from export.training.sequences.simulated import unknown_landmarks
from export.training.stargan import (
    SIZE_PX,
    Discriminator,
    Generator,
    StarGanConfig,
    discriminator_loss,
    generator_loss,
)

TEMPLATE: Final = LOOSE_TEMPLATE.resized(SIZE_PX)
_LOOK: Final = 128


@dataclass(frozen=True, slots=True)
class StarGanRecipe:
    """How it is trained.

    Attributes:
        epochs: of `epoch_steps` steps each.
        epoch_steps: of an epoch.
        batch_size: faces in a step.
        learning_rate: peak of the schedule; of Adam with β₁ = 0.5 (Choi et al. 2018 §4.3).
        width: of the generator's first layer.
        ema: decay of the moving average of the generator's weights, which is what is kept.
        seed: of weights and order.
    """

    epochs: int = 60
    epoch_steps: int = 100
    batch_size: int = 32
    learning_rate: float = 4e-4
    width: int = 20
    ema: float = 0.99
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """As plain types, for the checkpoint's metadata."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> StarGanRecipe:
        """The inverse of `to_json`."""
        return cls(**values)


class StarGanTrainer(TrainingRun[tuple[Tensor, Tensor]]):
    """Trains generator and discriminator in turns.

    Args:
        recipe: everything that makes the run.
        training: photographs to learn from, with how far each class is true of each, (N, K).
        choosing: photographs that are watched.
        folder: of the run.
        label_names: of the classes, in order.
        minutes, clock: see `TrainingRun`.
    """

    def __init__(
        self,
        recipe: StarGanRecipe,
        training: tuple[TrainingFaces, FloatArray],
        choosing: TrainingFaces,
        folder: Path,
        label_names: tuple[str, ...],
        minutes: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, device = recipe, training_device()
        faces, self._shares = training
        self._crops = align_precut(faces.images, faces.located, TEMPLATE)
        counts = np.bincount(faces.labels, minlength=len(label_names)).clip(min=1)
        odds = counts[faces.labels] ** -0.5
        self._odds = odds / odds.sum()
        self._watched = align_precut(
            choosing.images[:_LOOK], choosing.located.rows(slice(0, _LOOK)), TEMPLATE
        )
        self.config = StarGanConfig(len(label_names), recipe.width)
        self.discriminator = Discriminator(self.config).to(device)
        super().__init__(
            recipe,
            folder,
            label_names,
            Generator(self.config).to(device),
            nn.Identity(),
            {"discriminator": self.discriminator},
            minutes=minutes,
            clock=clock,
        )

    @property
    def steps_per_epoch(self) -> int:
        """As the recipe says."""
        return self.recipe.epoch_steps

    def _size_px(self) -> int:
        return SIZE_PX

    def _make_optimizer(self) -> torch.optim.Optimizer:
        # One for both: it leaves alone what has no gradient, and each half of a step gives one to its own network.
        parameters = [*self.network.parameters(), *self.discriminator.parameters()]
        return torch.optim.Adam(parameters, self.recipe.learning_rate, betas=(0.5, 0.999))

    def _epoch_batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        rng = np.random.default_rng((self.recipe.seed, epoch))
        for _ in range(self.recipe.epoch_steps):
            rows = rng.choice(len(self._crops), self.recipe.batch_size, p=self._odds)
            crops = self._crops[rows]
            mirrored = rng.random(len(rows)) < 0.5
            crops[mirrored] = crops[mirrored][:, :, ::-1]
            yield to_faces(crops).to(self._device), torch.from_numpy(self._shares[rows]).to(self._device)

    def _loss(self, batch: tuple[Tensor, Tensor], rng: np.random.Generator) -> Tensor:
        """A step of the discriminator is made here; the loop makes the generator's."""
        faces, shares = batch
        asked = torch.from_numpy(rng.integers(self.config.num_classes, size=len(faces))).to(self._device)
        wanted = nn.functional.one_hot(asked, self.config.num_classes).float()
        generator: Any = self.network
        with torch.no_grad(), self._autocast():
            made, _ = generator(faces, wanted)
        with self._autocast():
            loss = discriminator_loss(self.discriminator, faces, shares, made.float(), self.config)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self.discriminator.requires_grad_(False)
        with self._autocast():
            loss = generator_loss(generator, self.discriminator, faces, shares, wanted, self.config)
        self.discriminator.requires_grad_(True)
        return loss.float()

    @torch.no_grad()
    def accuracy(self, size_px: int) -> float:
        """Share of made faces that the discriminator reads as what they were asked to be."""
        del size_px
        self.average.eval()
        classes = self.config.num_classes
        asked = np.arange(len(self._watched)) % classes
        made = to_faces(translated(self.average, self._watched, asked, classes))
        self.discriminator.eval()
        found = self.discriminator(made.to(self._device))[1].argmax(dim=1).cpu().numpy()
        self.discriminator.train()
        return float((found == asked).mean())


def to_faces(crops: Image) -> Tensor:
    """(B, 48, 48) uint8 → (B, 1, 48, 48) in [−1, 1]."""
    return torch.from_numpy(crops).float().unsqueeze(1) / 127.5 - 1


@torch.no_grad()
def translated(generator: nn.Module, crops: Image, asked: npt.NDArray[np.int64], classes: int) -> Image:
    """Faces with other expressions.

    Args:
        generator: trained.
        crops: (N, 48, 48) uint8, cut by `TEMPLATE`.
        asked: (N,) which class each is to be.
        classes: K.

    Returns:
        (N, 48, 48) uint8.
    """
    device = next(generator.parameters()).device
    made = np.empty_like(crops)
    for start in range(0, len(crops), _LOOK):
        rows = slice(start, start + _LOOK)
        wanted = nn.functional.one_hot(torch.from_numpy(asked[rows]), classes).float()
        faces, _ = generator(to_faces(crops[rows]).to(device), wanted.to(device))
        made[rows] = ((faces[:, 0].float().cpu() + 1) * 127.5).round().clamp(0, 255).numpy().astype(np.uint8)
    return made


def load_generator(path: Path) -> tuple[Generator, tuple[str, ...]]:
    """The generator of a checkpoint of `roomtone train stargan`, and the names of its classes.

    Raises:
        CheckpointError: it cannot be read, or is of another network.
    """
    checkpoint = load_checkpoint(path)
    try:
        recipe = StarGanRecipe.from_json(checkpoint.facts["recipe"])
        names = tuple(checkpoint.facts["labels"])
    except (KeyError, TypeError, ConfigurationError) as exc:
        raise CheckpointError(
            path, "is not of StarGAN", hint="train one with `roomtone train stargan`"
        ) from exc
    generator = Generator(StarGanConfig(len(names), recipe.width))
    load_weights(generator, checkpoint, path)
    return generator.eval(), names


def translated_stills(
    checkpoint: Path, faces: TrainingFaces, label_names: tuple[str, ...], count: int, seed: int
) -> Clips:
    """Photographs with other expressions, as stills, to be mixed with the photographs themselves (P3 §4).

    Args:
        checkpoint: of `roomtone train stargan`.
        faces: photographs, as wide as high.
        label_names: of the classes.
        count: of stills.
        seed: of which photographs, and what they are to show.

    Raises:
        CheckpointError: it cannot be read, or knows other classes.
    """
    generator, names = load_generator(checkpoint)
    if names != label_names:
        raise CheckpointError(checkpoint, f"knows {', '.join(names)}, not {', '.join(label_names)}")
    rng = np.random.default_rng(seed)
    rows = rng.integers(len(faces.labels), size=count)
    asked = rng.integers(len(names), size=count)
    crops = np.concatenate([align_precut(faces.images[[row]], _row(faces, row), TEMPLATE) for row in rows])
    made = translated(generator, crops, asked, len(names))
    side = faces.images.shape[1]
    images = np.array([cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR) for image in made])
    factor = side / SIZE_PX
    left, right = factor * TEMPLATE.pupil_x_px, factor * (SIZE_PX - TEMPLATE.pupil_x_px)
    pupils = np.array(
        [[left, factor * TEMPLATE.pupil_y_px], [right, factor * TEMPLATE.pupil_y_px]], np.float32
    )
    return Clips(
        images[:, None],
        np.broadcast_to(pupils, (count, 1, 2, 2)).copy(),
        unknown_landmarks(count, 1),
        np.eye(len(names), dtype=np.float32)[asked][:, None],
        places_of(names)[asked][:, None],
    )


def sheet(generator: nn.Module, crops: Image, classes: int) -> Image:
    """A row for each crop: itself, then with each expression; (N · 48, (1 + K) · 48) uint8."""
    columns = [crops]
    for label in range(classes):
        columns.append(translated(generator, crops, np.full(len(crops), label), classes))
    return np.asarray(np.concatenate([np.concatenate(list(column)) for column in columns], axis=1), np.uint8)


def _row(faces: TrainingFaces, row: int) -> Any:
    return faces.located.rows(slice(row, row + 1))
