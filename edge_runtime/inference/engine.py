"""What an inference engine is to the rest of the runtime; ONNX Runtime and OpenVINO stand behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edge_runtime.frames.frame import Image

Logits = npt.NDArray[np.float32]
Dimensions = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EngineReport:
    """What really runs, for `info`.

    Attributes:
        backend, version: engine and its version.
        precision: that was asked for and is pinned.
        layer_precisions: precision → number of layers that the engine really runs in it; empty where it
            cannot tell.
        instruction_set: the widest that the engine uses on this CPU.
        threads: of one inference.
    """

    backend: str
    version: str
    precision: str
    layer_precisions: dict[str, int]
    instruction_set: str
    threads: int


class Engine(Protocol):
    """A loaded network."""

    report: EngineReport

    def logits(self, crops: Image) -> Logits:
        """Runs one batch.

        Args:
            crops: (N, size, size) uint8, contiguous, N ≥ 1.

        Returns:
            (N, K) float32, the caller's own.

        Raises:
            EngineError: the engine failed.
        """
        ...

    def outputs(self, crops: Image) -> tuple[Logits, Dimensions]:
        """Runs one batch of a bundle that measures more than classes.

        Args:
            crops: as `logits`.

        Returns:
            The logits, and (N, D) float32, a column for each of the manifest's `dimensions`.

        Raises:
            EngineError: the engine failed.
        """
        ...
