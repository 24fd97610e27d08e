"""A small network that the tests of export share."""

from __future__ import annotations

import numpy as np
import torch

from edge_runtime.faces.locating import locate_all
from export.architectures.hafnet import Hafnet, HafnetConfig
from export.probes import rendered_faces
from export.training.datasets import TrainingFaces

TINY = "hafnet_tiny"


def tiny_config(num_classes: int = 7) -> HafnetConfig:
    return HafnetConfig(num_classes, width=8, heads=2)


def make_network(num_classes: int = 7) -> Hafnet:
    """Seeded weights; norms with statistics of their own, and branches that count, as after training."""
    torch.manual_seed(3)
    network = Hafnet(tiny_config(num_classes))
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
                part.running_mean.uniform_(-0.2, 0.2)  # type: ignore[union-attr]
                part.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr]
                part.weight.uniform_(0.5, 1.5)
    return network.eval()


def drawn_faces(count: int, seed: int) -> TrainingFaces:
    """Rendered faces, expressions taking turns, with the pupils that the device finds in them."""
    images = rendered_faces(count, np.random.default_rng(seed))
    return TrainingFaces(images, np.arange(count, dtype=np.int64) % 7, locate_all(images))
