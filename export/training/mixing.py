"""Mixup and cutmix: training on what lies between two images of a batch, with what lies between their targets."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from export.training.recipe import Recipe


def mix(
    images: Tensor, targets: list[Tensor], recipe: Recipe, rng: np.random.Generator
) -> tuple[Tensor, list[Tensor]]:
    """Mixes a batch with itself in another order, by cutmix, by mixup, or not at all.

    Args:
        images: (B, C, H, W) float.
        targets: each (B, ·) float; mixed by the same share as the images.
        recipe: says how often and how much.
        rng: the only source of chance.

    Returns:
        Images and targets of the same shapes.
    """
    order = torch.from_numpy(rng.permutation(len(images)))
    if rng.random() < recipe.cutmix:
        images, share = _cutmix(images, order, rng)
    elif recipe.mixup > 0:
        share = float(rng.beta(recipe.mixup, recipe.mixup))
        images = share * images + (1 - share) * images[order]
    else:
        return images, targets
    return images, [share * target + (1 - share) * target[order] for target in targets]


def _cutmix(images: Tensor, order: Tensor, rng: np.random.Generator) -> tuple[Tensor, float]:
    """One rectangle of every image from another one; its area is drawn evenly from none to all (§3.1)."""
    height, width = images.shape[2:]
    side = np.sqrt(rng.random())
    y, x = rng.integers(0, height), rng.integers(0, width)
    top, bottom = np.clip([y - side * height / 2, y + side * height / 2], 0, height).round().astype(int)
    left, right = np.clip([x - side * width / 2, x + side * width / 2], 0, width).round().astype(int)
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = images[order][:, :, top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)
