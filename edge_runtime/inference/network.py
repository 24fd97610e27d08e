"""A bundle's network of single crops: what its graph is fed, and which of its tensors mean what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle import DIMENSIONS, Manifest, Variant
from edge_runtime.features import make_inputs
from edge_runtime.frames.frame import Image
from edge_runtime.inference.engine import NOTHING, Dimensions, Given, Graph, GraphSpec, Logits

GraphLoader = Callable[[GraphSpec], Graph]


class Network:
    """An `Engine`.

    Args:
        load: of the backend.
        file: the network, where it lies.
        variant: that it is.
        manifest: of the bundle.
        threads: of one inference.

    Raises:
        MissingExtraError, EngineError: it does not load, or is not of this bundle.
    """

    def __init__(
        self, load: GraphLoader, file: Path, variant: Variant, manifest: Manifest, threads: int
    ) -> None:
        self._inputs = [(spec.kind, spec.tensor) for spec in manifest.inputs]
        self._template = manifest.alignment.template()
        self._output, *self._measured = output_tensors(manifest)
        self._graph = load(
            GraphSpec(
                file,
                inputs=tuple(tensor for _, tensor in self._inputs),
                outputs=(self._output, *self._measured),
                columns=len(manifest.labels),
                columns_are="labels",
                precision=variant.precision,
                threads=threads,
            )
        )
        self.report = self._graph.report

    def logits(self, crops: Image, given: Given = NOTHING) -> Logits:
        """See `Engine.logits`."""
        (logits,) = self._graph.run([self._output], self._made_of(crops, given))
        return logits

    def outputs(self, crops: Image, given: Given = NOTHING) -> tuple[Logits, Dimensions]:
        """See `Engine.outputs`."""
        wanted = [self._output, *self._measured]
        logits, *measured = self._graph.run(wanted, self._made_of(crops, given))
        return logits, np.concatenate(measured, axis=1)

    def _made_of(self, crops: Image, given: Given) -> dict[str, npt.NDArray[Any]]:
        return make_inputs(self._inputs, crops, self._template, given)


def output_tensors(manifest: Manifest) -> tuple[str, ...]:
    """Names of the logits' tensor, then of those that hold the manifest's `dimensions`."""
    logits = [spec.tensor for spec in manifest.outputs if spec.kind == "logits"]
    return (*logits, *(spec.tensor for spec in manifest.outputs if spec.kind in DIMENSIONS))
