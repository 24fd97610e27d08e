"""Batches of one epoch: drawn, cut anew, and given the distributions that the network is to learn."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edge_runtime.faces.alignment import TEMPLATES
from edge_runtime.faces.labelled import VOTE_COLUMNS
from edge_runtime.features import make_inputs
from export.training.datasets import TrainingFaces
from export.training.recipe import Recipe
from export.training.votes import label_given_votes

_Distributions = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Batch:
    """Crops and what to learn of them.

    Attributes:
        crops: (B, size, size) uint8.
        features: kind → (B, ·) float32, what the network takes beside the crops.
        targets: (B, K) float32 label distributions.
        votes: (B, 10) float32 distributions of the raters' votes; all zero for a face that has none.
    """

    crops: Tensor
    features: dict[str, Tensor]
    targets: Tensor
    votes: Tensor


class Batches:
    """Draws a training split in epochs.

    Args:
        recipe: of the run.
        faces: the split.
        label_names: of the classes, in order.
        inputs: kinds of what the network takes; see `edge_runtime.features`.
    """

    def __init__(
        self,
        recipe: Recipe,
        faces: TrainingFaces,
        label_names: tuple[str, ...],
        inputs: tuple[str, ...] = ("crop",),
    ) -> None:
        self._recipe, self._faces = recipe, faces
        self._features = [(kind, kind) for kind in inputs if kind != "crop"]
        self._votes = _vote_shares(faces)
        self._targets = _targets(recipe, faces, label_names)
        counts = np.bincount(faces.labels, minlength=len(label_names))
        odds = counts[faces.labels].astype(np.float64) ** -recipe.class_balance
        self._odds = odds / odds.sum()

    def __len__(self) -> int:
        """Whole batches in an epoch."""
        return len(self._faces.labels) // self._recipe.batch_size

    def epoch(self, epoch: int, size_px: int) -> Iterator[Batch]:
        """The batches of one epoch; the next one is cut in a thread meanwhile.

        Args:
            epoch: which decides order and augmentation, together with the seed.
            size_px: side of the crops.
        """
        rng = np.random.default_rng((self._recipe.seed, epoch))
        order = self._draw(rng)
        template = TEMPLATES[self._recipe.template].resized(size_px)
        size = self._recipe.batch_size

        def cut(start: int) -> Batch:
            rows = np.sort(order[start : start + size])
            faces = self._faces
            pupils = faces.pupils_xy[rows]
            if faces.also_xy is not None:
                pupils = np.where(rng.random((len(rows), 1, 1)) < 0.5, faces.also_xy[rows], pupils)
            crops = self._recipe.augmentation.crops(faces.images[rows], pupils, template, rng)
            features = make_inputs(self._features, crops)
            return Batch(
                torch.from_numpy(crops),
                {kind: torch.from_numpy(array) for kind, array in features.items()},
                torch.from_numpy(self._targets[rows]),
                torch.from_numpy(self._votes[rows]),
            )

        with ThreadPoolExecutor(1) as pool:
            upcoming = pool.submit(cut, 0)
            for index in range(len(self)):
                batch = upcoming.result()
                if index + 1 < len(self):
                    upcoming = pool.submit(cut, (index + 1) * size)
                yield batch

    def _draw(self, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        count = len(self._faces.labels)
        if self._recipe.class_balance == 0:
            return rng.permutation(count)
        return rng.choice(count, count, p=self._odds)


def _vote_shares(faces: TrainingFaces) -> _Distributions:
    if faces.votes is None:
        return np.zeros((len(faces.labels), len(VOTE_COLUMNS)), np.float32)
    votes = faces.votes.astype(np.float32)
    return np.asarray(votes / votes.sum(axis=1, keepdims=True).clip(min=1), np.float32)


def _targets(recipe: Recipe, faces: TrainingFaces, label_names: tuple[str, ...]) -> _Distributions:
    """The label, blended with what the raters' votes say of it, smoothed, then blended with a teacher's view."""
    one_hot: _Distributions = np.eye(len(label_names), dtype=np.float32)[faces.labels]
    if recipe.votes_blend and faces.votes is not None:
        voted = label_given_votes(faces.votes, faces.labels, label_names, fitted=recipe.labels != "ferplus")
        one_hot = (1 - recipe.votes_blend) * one_hot + recipe.votes_blend * voted
    smooth = recipe.label_smoothing
    targets = one_hot * (1 - smooth) + smooth / len(label_names)
    if faces.taught is not None:
        targets = (1 - recipe.teacher_weight) * targets + recipe.teacher_weight * faces.taught
    return np.asarray(targets, np.float32)
