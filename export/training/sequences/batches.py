"""Batches of clips: drawn, cut by the device's alignment with disturbed pupils, with features and targets."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from torch import Tensor

from edge_runtime.faces.alignment import TEMPLATES, AlignmentTemplate, FloatArray
from edge_runtime.features import make_inputs
from edge_runtime.features.landmark_distances import landmark_distances
from edge_runtime.markup import MIRROR
from export.architectures.layers import SequenceTargets
from export.training.augmentation import Augmentation
from export.training.sequences.clips import Clips
from export.training.sequences.recipe import SequenceRecipe

# How far eyes and landmarks are off on a device, in distances of the pupils: in all frames of a clip, and in each.
# Landmarks that the network found are off already, but from another box it would have found others.
_LANDMARKS_OFF, _LANDMARKS_TREMBLE, _PUPILS_TREMBLE = 0.05, 0.02, 0.02
_UNKNOWN_FRAMES: Final = 0.05  # of a clip whose landmarks are known
_MIRRORED: Final = np.array([*MIRROR, 69, 68])
# As a device cuts: pupils a little off, and nothing else.
AS_SEEN: Final = Augmentation(rotation_deg=3.0, scale=0.03, shift=0.02, flip=0.0, blur=0.0, erase=0.0)


@dataclass(frozen=True, slots=True)
class SequenceBatch:
    """What one step learns from.

    Attributes:
        inputs: kind → (N · M, …), crops uint8, features float32; clip by clip.
        targets: of the N clips.
        frames: M; 1 for stills.
    """

    inputs: dict[str, Tensor]
    targets: SequenceTargets
    frames: int


@dataclass(frozen=True, slots=True)
class TrainingClips:
    """What a run learns from.

    Attributes:
        simulated: clips of M frames.
        grown: clips of M frames; None where there are no photographs.
        photographs: stills; None likewise.
    """

    simulated: Clips
    grown: Clips | None = field(default=None)
    photographs: Clips | None = field(default=None)


class SequenceBatches:
    """Draws clips in epochs.

    Args:
        recipe: of the run.
        clips: to draw from.
        inputs: kinds of what the network takes; see `edge_runtime.features`.
    """

    def __init__(self, recipe: SequenceRecipe, clips: TrainingClips, inputs: tuple[str, ...]) -> None:
        self._recipe, self._clips, self._inputs = recipe, clips, inputs

    def epoch(self, epoch: int, *, still: bool) -> Iterator[SequenceBatch]:
        """The batches of one epoch; the next one is cut in a thread meanwhile.

        Args:
            epoch: which decides order and augmentation, together with the seed.
            still: draws single frames instead of clips.
        """
        rng = np.random.default_rng((self._recipe.seed, epoch))
        with ThreadPoolExecutor(1) as pool:
            upcoming = pool.submit(self._draw, rng, still=still)
            for index in range(self._recipe.epoch_steps):
                batch = upcoming.result()
                if index + 1 < self._recipe.epoch_steps:
                    upcoming = pool.submit(self._draw, rng, still=still)
                yield batch

    def _draw(self, rng: np.random.Generator, *, still: bool) -> SequenceBatch:
        recipe, clips = self._recipe, self._clips
        real = clips.photographs if still else clips.grown
        size = recipe.still_batch if still else recipe.batch_size
        real_size = 0 if real is None else round(recipe.real_share * size)
        rows = rng.integers(len(clips.simulated), size=size - real_size)
        if still:
            drawn = [clips.simulated.frame(rows, rng.integers(clips.simulated.frames, size=len(rows)))]
        else:
            drawn = [clips.simulated.rows(rows)]
        if real is not None and real_size:
            drawn.append(real.rows(rng.integers(len(real), size=real_size)))
        parts = [
            cut(part, self._inputs, TEMPLATES[recipe.template], recipe.augmentation, rng, recipe)
            for part in drawn
        ]
        return joined(parts)


def cut(
    clips: Clips,
    inputs: tuple[str, ...],
    template: AlignmentTemplate,
    augmentation: Augmentation,
    rng: np.random.Generator,
    recipe: SequenceRecipe | None = None,
) -> SequenceBatch:
    """Cuts clips into what a network takes.

    Args:
        clips: N of M frames.
        inputs: kinds of what it takes.
        template: of the bundle to be.
        augmentation: how pupils and crops are disturbed.
        rng: the only source of chance.
        recipe: how targets are smoothed and landmarks withheld; None: not at all.
    """
    count, frames = len(clips), clips.frames
    distance = np.linalg.norm(clips.pupils_xy[:, :, 1] - clips.pupils_xy[:, :, 0], axis=2)[:, :, None, None]
    pupils = augmentation.disturbed(clips.pupils_xy, rng)
    pupils += (_PUPILS_TREMBLE * distance * rng.normal(size=pupils.shape)).astype(np.float32)
    crops = np.empty((count, frames, template.size_px, template.size_px), np.uint8)
    mirrored = np.zeros(count, np.bool_)
    for index in range(count):
        crops[index], mirrored[index] = augmentation.clip(clips.images[index], pupils[index], template, rng)
    flat = crops.reshape(-1, template.size_px, template.size_px)
    given = {}
    if "landmark_distances" in inputs:
        withheld = 0.0 if recipe is None else recipe.unknown_share
        seen = _landmarks_as_seen(clips.landmarks_xy, distance, mirrored, withheld, rng)
        given["landmark_distances"] = landmark_distances(seen.reshape(-1, *seen.shape[2:]))
    arrays = make_inputs([(kind, kind) for kind in inputs], flat, template, given)
    smooth = 0.0 if recipe is None else recipe.label_smoothing
    shares = torch.from_numpy(clips.shares * (1 - smooth) + smooth / clips.shares.shape[2]).float()
    return SequenceBatch(
        {kind: torch.from_numpy(array) for kind, array in arrays.items()},
        SequenceTargets(shares[:, -1], shares, torch.from_numpy(clips.valence_arousal[:, -1])),
        frames,
    )


def joined(parts: list[SequenceBatch]) -> SequenceBatch:
    """Several batches of as many frames as one."""
    if len(parts) == 1:
        return parts[0]
    inputs = {kind: torch.cat([part.inputs[kind] for part in parts]) for kind in parts[0].inputs}
    targets = SequenceTargets(
        *(torch.cat(column) for column in zip(*(p.targets for p in parts), strict=True))
    )
    return SequenceBatch(inputs, targets, parts[0].frames)


def _landmarks_as_seen(
    landmarks_xy: FloatArray,
    distance: FloatArray,
    mirrored: np.ndarray[tuple[int], np.dtype[np.bool_]],
    withheld: float,
    rng: np.random.Generator,
) -> FloatArray:
    """As a network would find them: off by what it is off, mirrored like the crops, sometimes not at all."""
    count, frames = landmarks_xy.shape[:2]
    off = _LANDMARKS_OFF * rng.normal(size=(count, 1, *landmarks_xy.shape[2:]))
    tremble = _LANDMARKS_TREMBLE * rng.normal(size=landmarks_xy.shape)
    seen = (landmarks_xy + distance * (off + tremble)).astype(np.float32)
    seen[mirrored] = seen[mirrored][:, :, _MIRRORED] * np.array([-1, 1], np.float32)
    unknown = (rng.random((count, 1)) < withheld) | (rng.random((count, frames)) < _UNKNOWN_FRAMES)
    if withheld:
        seen[unknown] = np.nan
    return seen
