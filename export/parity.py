"""Parity: the same crops through torch, ONNX Runtime and OpenVINO give the same logits, one by one.

Compared at batch 1, 3 and 8: OpenVINO's CPU plugin has been seen to be right at batch 1 and wrong, silently,
above it. Never on a mean: one wrong logit in a thousand is a fault.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
import openvino
import torch

from edge_runtime.errors import RoomtoneError
from edge_runtime.frames.frame import Image
from edge_runtime.inference.engine import Logits
from export.deploy import DeployedNetwork
from export.first_difference import (
    ValueDifference,
    Values,
    first_difference,
    onnxruntime_values,
    openvino_values,
    torch_values,
)
from export.tolerances import LOGITS_UP_TO, PARITY

Run = Callable[[Image], Logits]

BATCHES: Final = (1, 3, 8)


class ParityError(RoomtoneError):
    """Two formats of one network give different logits."""

    exit_code = 14

    def __init__(
        self,
        hop: str,
        data: str,
        *,
        difference: float,
        tolerance: float,
        batch: int,
        row: int,
        logit: int,
        place: str = "",
    ) -> None:
        self.place = place
        self.hop, self.data, self.difference, self.tolerance = hop, data, difference, tolerance
        self.batch, self.row, self.logit = batch, row, logit
        super().__init__(
            f"{hop} changes a logit by {difference:.3g} (allowed: {tolerance:g}) on {data}, "
            f"batch {batch}, row {row}, logit {logit}{place}",
            hint="an operator means something else there: write it in another way, or tell the maintainers",
        )

    def at(self, place: str) -> ParityError:
        """The same fault, with the place in the graph where it begins."""
        return ParityError(
            self.hop,
            self.data,
            difference=self.difference,
            tolerance=self.tolerance,
            batch=self.batch,
            row=self.row,
            logit=self.logit,
            place=f"; {place}",
        )


@dataclass(frozen=True, slots=True)
class ParityResult:
    """The largest difference of one hop on one kind of data, over all batch sizes."""

    hop: str
    data: str
    difference: float


@dataclass(frozen=True, slots=True)
class Format:
    """One form of a network.

    Attributes:
        name: for people.
        logits: runs it.
        values: every value inside, by its name in the ONNX graph; asked for when a fault is looked for.
        tolerance: to the format before it; see `export.tolerances`.
    """

    name: str
    logits: Run
    values: Callable[[Image], Values]
    tolerance: float = 0.0


def check_parity(network: DeployedNetwork, file: Path, probes: Mapping[str, Image]) -> list[ParityResult]:
    """Compares torch → ONNX Runtime → OpenVINO, each with the one before it.

    Args:
        network: in evaluation mode, on the CPU.
        file: its ONNX form; OpenVINO reads the same file.
        probes: kind of data → (n, size, size) uint8 crops.

    Raises:
        ParityError: see `compare_formats`.
    """
    feed = network.feed_of
    return compare_formats(
        (
            Format("torch", _torch(network), lambda crops: torch_values(network, crops)),
            Format(
                "onnxruntime",
                _onnxruntime(file, network),
                lambda crops: onnxruntime_values(file, feed(crops)),
                PARITY["onnxruntime"],
            ),
            Format(
                "openvino",
                _openvino(file, network),
                lambda crops: openvino_values(file, feed(crops)),
                PARITY["openvino"],
            ),
        ),
        file,
        probes,
    )


def compare_formats(
    formats: Sequence[Format], graph: Path, probes: Mapping[str, Image]
) -> list[ParityResult]:
    """Compares each format with the one before it, on all probes and at all batch sizes.

    Args:
        formats: in the order of their making.
        graph: the ONNX network, for the order of the values inside.
        probes: kind of data → (n, size, size) uint8 crops.

    Raises:
        ParityError: names the first hop that fails, with its largest difference, where that is, and the first value
            inside the network that differs.
    """
    results = []
    for before, after in pairwise(formats):
        hop = f"{before.name} → {after.name}"
        for data, crops in probes.items():
            try:
                largest = max(
                    compare(hop, data, before.logits, after.logits, crops, batch, after.tolerance)
                    for batch in BATCHES
                )
            except ParityError as exc:
                start = exc.row - exc.row % exc.batch
                some = crops[start : start + exc.batch]
                first = first_difference(graph, before.values(some), after.values(some))
                raise exc.at(_told(first)) from exc
            results.append(ParityResult(hop, data, largest))
    return results


def _told(first: ValueDifference | None) -> str:
    """Where the fault begins, in words."""
    if first is None:
        return "every value inside agrees when all are asked for, so a fusion of the engine is at fault"
    return f"it begins at {first}"


def compare(
    hop: str, data: str, before: Run, after: Run, crops: Image, batch: int, tolerance: float
) -> float:
    """Runs crops through both, `batch` at a time, and compares every logit.

    The tolerance is for logits up to `LOGITS_UP_TO`, and grows in proportion to larger ones.

    Returns:
        The largest absolute difference.

    Raises:
        ParityError: it is beyond the tolerance, or a logit is not a number.
    """
    starts = range(0, len(crops), batch)
    wanted, found = (np.concatenate([run(crops[s : s + batch]) for s in starts]) for run in (before, after))
    # NaN counts as infinitely far.
    difference = np.nan_to_num(np.abs(found.astype(np.float64) - wanted), nan=np.inf)
    row, logit = np.unravel_index(int(difference.argmax()), difference.shape)
    largest = float(difference[row, logit])
    allowed = tolerance * max(1.0, float(np.abs(wanted).max()) / LOGITS_UP_TO)
    if largest > allowed:
        raise ParityError(
            hop, data, difference=largest, tolerance=allowed, batch=batch, row=int(row), logit=int(logit)
        )
    return largest


def torch_logits(network: DeployedNetwork, crops: Image) -> Logits:
    """What the trained network itself gives, in float32: (n, K)."""
    with torch.inference_mode():
        return np.asarray(network(*network.made_of(crops))[0].numpy(), np.float32)


def _torch(network: DeployedNetwork) -> Run:
    def run(crops: Image) -> Logits:
        with torch.inference_mode():
            return np.asarray(torch.cat(network(*network.made_of(crops)), dim=1).numpy(), np.float32)

    return run


def _onnxruntime(file: Path, network: DeployedNetwork) -> Run:
    outputs = list(network.outputs)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return lambda crops: np.concatenate(session.run(outputs, network.feed_of(crops)), axis=1)


def _openvino(file: Path, network: DeployedNetwork) -> Run:
    # Unless told, the plugin runs float32 networks in bfloat16 on CPUs that have it.
    compiled = openvino.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(crops: Image) -> Logits:
        found = compiled(network.feed_of(crops))
        return np.concatenate([np.array(found[kind], np.float32) for kind in network.outputs], axis=1)

    return run
