"""A bundle's network of sequences: two graphs, so that a new frame of a face costs one frame.

    crops, features of them ──encoder──▶ (N, F)
    (N, M, F), the oldest frame first ──head──▶ logits, and what else is measured

Whole sequences of crops go through the same two graphs; that is what goldens and calibration ask for.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge_runtime.bundle import FEATURES_TENSOR, SEQUENCE_TENSOR, Manifest, SequencePart, Variant
from edge_runtime.errors import EngineError
from edge_runtime.features import make_inputs
from edge_runtime.frames.frame import Image
from edge_runtime.inference.engine import (
    NOTHING,
    Dimensions,
    EngineReport,
    Features,
    Given,
    GraphSpec,
    Logits,
)
from edge_runtime.inference.network import GraphLoader, output_tensors


class SequenceNetwork:
    """A `SequenceEngine`.

    Args:
        load: of the backend.
        encoder: the frame encoder's file.
        head: the sequence head's file.
        variant: that they are.
        manifest: of a bundle with a sequence.
        threads: of one inference.

    Raises:
        MissingExtraError, EngineError: a graph does not load, or is not of this bundle.
    """

    def __init__(
        self,
        load: GraphLoader,
        encoder: Path,
        head: Path,
        variant: Variant,
        manifest: Manifest,
        threads: int,
    ) -> None:
        part = manifest.sequence
        if part is None or variant.head_precision is None:
            raise EngineError(f"{manifest.name} has no sequence", hint="open it as a network of single crops")
        self.sequence: SequencePart = part
        self._inputs = [(spec.kind, spec.tensor) for spec in manifest.inputs]
        self._template = manifest.alignment.template()
        self._outputs = output_tensors(manifest)
        self._encoder = load(
            GraphSpec(
                encoder,
                inputs=tuple(tensor for _, tensor in self._inputs),
                outputs=(FEATURES_TENSOR,),
                columns=part.feature_length,
                columns_are="features of a frame",
                precision=variant.precision,
                threads=threads,
            )
        )
        self._head = load(
            GraphSpec(
                head,
                inputs=(SEQUENCE_TENSOR,),
                outputs=self._outputs,
                columns=len(manifest.labels),
                columns_are="labels",
                precision=variant.head_precision,
                threads=threads,
            )
        )
        self.report = _of_both(self._encoder.report, self._head.report)

    def encode(self, crops: Image, given: Given = NOTHING) -> Features:
        """See `SequenceEngine.encode`."""
        inputs = make_inputs(self._inputs, crops, self._template, given)
        (features,) = self._encoder.run([FEATURES_TENSOR], inputs)
        return features

    def head(self, sequences: Features) -> tuple[Logits, Dimensions]:
        """See `SequenceEngine.head`."""
        logits, *measured = self._head.run(self._outputs, {SEQUENCE_TENSOR: sequences})
        if not measured:
            return logits, np.empty((len(logits), 0), np.float32)
        return logits, np.concatenate(measured, axis=1)

    def logits(self, crops: Image, given: Given = NOTHING) -> Logits:
        """See `Engine.logits`."""
        return self.outputs(crops, given)[0]

    def outputs(self, crops: Image, given: Given = NOTHING) -> tuple[Logits, Dimensions]:
        """See `Engine.outputs`."""
        count, frames = crops.shape[:2]
        flat = {kind: rows.reshape(-1, *rows.shape[2:]) for kind, rows in given.items()}
        features = self.encode(crops.reshape(-1, *crops.shape[2:]), flat)
        return self.head(features.reshape(count, frames, -1))


def _of_both(encoder: EngineReport, head: EngineReport) -> EngineReport:
    """What runs, of both graphs together; the precision is that of the encoder, which does nearly all of the work."""
    layers = Counter(encoder.layer_precisions) + Counter(head.layer_precisions)
    return replace(encoder, layer_precisions=dict(sorted(layers.items())))
