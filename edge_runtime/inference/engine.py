"""What an inference engine is to the rest of the runtime, and what a loaded graph is to an engine.

Engine, SequenceEngine   a bundle's network, by what it is asked: `network.py`, `sequence_network.py`
Graph                    one network file: ONNX Runtime, OpenVINO
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from edge_runtime.frames.frame import Image

Logits = npt.NDArray[np.float32]
Dimensions = npt.NDArray[np.float32]
Features = npt.NDArray[np.float32]
Given = Mapping[str, npt.NDArray[np.float32]]
NOTHING: Final[Given] = MappingProxyType({})


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


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """One network file as it is to be loaded.

    Attributes:
        file: ONNX, or OpenVINO's IR.
        inputs: names of its tensors.
        outputs: names of its tensors; each is (N, columns).
        columns: of the first output.
        columns_are: what there are so many of in the bundle, for errors.
        precision: to be pinned.
        threads: of one inference.
    """

    file: Path
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    columns: int
    columns_are: str
    precision: str
    threads: int


class Graph(Protocol):
    """A loaded network file; the first axis of all tensors is the batch, of any size."""

    report: EngineReport

    def run(self, outputs: Sequence[str], inputs: Mapping[str, npt.NDArray[Any]]) -> list[Logits]:
        """Runs one batch.

        Args:
            outputs: names of the wanted tensors.
            inputs: tensor → (N, …), N ≥ 1.

        Returns:
            (N, columns) float32 of each, the caller's own.

        Raises:
            EngineError: the engine failed.
        """
        ...


class Engine(Protocol):
    """A bundle's network, loaded."""

    report: EngineReport

    def logits(self, crops: Image, given: Given = NOTHING) -> Logits:
        """Runs one batch.

        Args:
            crops: (N, size, size) uint8, contiguous, N ≥ 1; of a sequence (N, M, size, size), the oldest frame first.
            given: kind → (N, …) of inputs that are not made of crops; of a sequence (N, M, …).

        Returns:
            (N, K) float32, the caller's own.

        Raises:
            EngineError: the engine failed.
        """
        ...

    def outputs(self, crops: Image, given: Given = NOTHING) -> tuple[Logits, Dimensions]:
        """Runs one batch of a bundle that measures more than classes.

        Args:
            crops: as `logits`.
            given: likewise.

        Returns:
            The logits, and (N, D) float32, a column for each of the manifest's `dimensions`.

        Raises:
            EngineError: the engine failed.
        """
        ...


class SequenceEngine(Engine, Protocol):
    """The network of a bundle with a sequence: a frame costs one `encode`, however long the sequence is."""

    def encode(self, crops: Image, given: Given = NOTHING) -> Features:
        """Runs the frame encoder.

        Args:
            crops: (N, size, size) uint8, contiguous, N ≥ 1.
            given: kind → (N, …).

        Returns:
            (N, F) float32, the caller's own.

        Raises:
            EngineError: the engine failed.
        """
        ...

    def head(self, sequences: Features) -> tuple[Logits, Dimensions]:
        """Runs the sequence head.

        Args:
            sequences: (N, M, F) float32, the oldest frame first.

        Returns:
            See `outputs`.

        Raises:
            EngineError: the engine failed.
        """
        ...
