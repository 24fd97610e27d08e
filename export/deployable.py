"""What every export begins with: a network that can be deployed, and what its bundle will say of it.

`export.trained` makes one of a checkpoint of `roomtone train`, `export.factory` of somebody else's module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edge_runtime.bundle import Label
from edge_runtime.faces.alignment import AlignmentTemplate, PupilWay
from export.deploy import DeployedNetwork
from export.deploy_sequence import SequenceGraphs


@dataclass(frozen=True, slots=True)
class Deployable:
    """A network with its weights, ready to be exported.

    Attributes:
        network: in evaluation mode, on the CPU.
        architecture: its name, for the manifest.
        name, version: of the bundle.
        labels: in the order of the logits.
        template: that crops are cut by.
        readable_width_px: narrowest face box whose expression is read.
        provenance: where it comes from, for manifest and model card.
        sequence: of a network of sequences, the two graphs that a device runs; `network` is the whole of it then.
        pupils: what found the pupils of the crops that it learned from.
    """

    network: DeployedNetwork
    architecture: str
    name: str
    version: str
    labels: tuple[Label, ...]
    template: AlignmentTemplate
    readable_width_px: int
    provenance: Mapping[str, str]
    sequence: SequenceGraphs | None = None
    pupils: PupilWay = "haar"


class Request(Protocol):
    """What is to be exported, and where to."""

    @property
    def out(self) -> Path:
        """The bundle to be."""

    @property
    def force(self) -> bool:
        """Whether a bundle that is there is replaced."""

    def read(self) -> Deployable:
        """The network with its weights.

        Raises:
            RoomtoneError: it cannot be made, or its weights do not fit.
        """
