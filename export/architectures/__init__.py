"""The papers' networks: one paper, one file; `layers.py` holds the blocks that two of them share.

    hafnet.py   P5: feature clustering, multi-head attention, attention fusion

`ARCHITECTURES` maps the names that the command line knows to builders; every builder takes the number of
classes.

    network, objective = build("hafnet_half", num_classes=7)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from torch import nn

from edge_runtime.errors import ConfigurationError, Fault
from export.architectures.hafnet import (
    Hafnet,
    HafnetConfig,
    HafnetObjective,
    hafnet,
    hafnet_edge,
    hafnet_half,
    hafnet_small,
)

ARCHITECTURES: Final[dict[str, Callable[[int], HafnetConfig]]] = {
    "hafnet": hafnet,
    "hafnet_edge": hafnet_edge,
    "hafnet_half": hafnet_half,
    "hafnet_small": hafnet_small,
}


def build(architecture: str, num_classes: int) -> tuple[nn.Module, nn.Module]:
    """A network with fresh weights, and its training objective.

    Raises:
        ConfigurationError: no architecture of this name.
    """
    check_architecture(architecture)
    config = ARCHITECTURES[architecture](num_classes)
    return Hafnet(config), HafnetObjective(config)


def check_architecture(architecture: str) -> None:
    """Refuses an unknown name before any work is done for it.

    Raises:
        ConfigurationError: no architecture of this name.
    """
    if architecture not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        raise ConfigurationError(
            "the command line", [Fault("ARCH", f"{architecture!r} is not one of {known}")]
        )
