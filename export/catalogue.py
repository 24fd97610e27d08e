"""The networks that there are, with what each costs on one 96×96 crop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_runtime.faces.alignment import LOOSE_TEMPLATE
from export.architectures import ARCHITECTURES
from export.cost import Cost, measure_cost
from export.deploy import network_inputs


@dataclass(frozen=True, slots=True)
class Entry:
    """One network: its name, what its paper's file says about this size, and its cost for seven classes."""

    name: str
    description: str
    cost: Cost


def catalogue() -> list[Entry]:
    """All networks in the order of the papers."""
    size = LOOSE_TEMPLATE.size_px
    entries = []
    for name, build in ARCHITECTURES.items():
        config = build(7)
        example = network_inputs(config.inputs, np.zeros((1, size, size), np.uint8))
        description = (build.__doc__ or "").partition("\n")[0]
        entries.append(Entry(name, description, measure_cost(config.network(), *example)))
    return entries
