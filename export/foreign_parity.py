"""Parity of an adopted network: the original, fed by OpenCV and numpy → ONNX Runtime → OpenVINO, logit by logit."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import openvino

from edge_runtime.frames.frame import Image
from edge_runtime.inference.engine import Logits
from export.contract import LEAST_PROBABILITY, Contract, InputContract
from export.first_difference import Values, onnxruntime_values, openvino_values
from export.foreign import AdoptionError, tensor_of
from export.foreign_graph import FACE, PREFIX
from export.parity import Format, ParityResult, Run, compare_formats
from export.tolerances import ADOPTED, ROW_OF_LARGEST

_SCALE: Final = "are scale and offset of the contract those that it was trained with?"


def check_adopted_parity(
    file: Path, model: onnx.ModelProto, contract: Contract, network: Path, probes: Mapping[str, Image]
) -> list[ParityResult]:
    """Compares original → ONNX Runtime → OpenVINO, each with the one before it.

    Args:
        file: that the original came as, for errors.
        model: the original.
        contract: what it takes and gives.
        network: the bundle's own graph.
        probes: kind of data → (n, size, size) uint8 crops.

    Raises:
        AdoptionError: the original fails on faces, or its outputs contradict the contract.
        ParityError: see `export.parity.compare_formats`.
    """
    entry = tensor_of(file, model, "input", contract.input.tensor).name
    result = tensor_of(file, model, "output", contract.output.tensor).name
    with tempfile.TemporaryDirectory(prefix="roomtone-adopt-") as folder:
        original = Path(folder) / "original.onnx"
        onnx.save(model, original)
        session = _session(original)
        compiled = openvino.Core().compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

        def of_original(crops: Image) -> Logits:
            try:
                (values,) = session.run([result], {entry: prepare(crops, contract.input)})
            except Exception as exc:
                raise AdoptionError(
                    file,
                    f"fails on {_faces(len(crops))} in one call: {_told(exc)}",
                    hint="export it again with a batch that is dynamic inside, too",
                ) from exc
            if not np.isfinite(values).all():
                raise AdoptionError(
                    file, f"gives values that are no numbers for {_faces(len(crops))}", hint=_SCALE
                )
            if (fault := contract.output.fault_of(values)) is not None:
                raise AdoptionError(
                    file, fault, hint="mend [output] values of the contract: logits or probabilities"
                )
            is_logits = contract.output.values == "logits"
            return np.asarray(values if is_logits else np.log(np.maximum(values, LEAST_PROBABILITY)))

        _check_rows(file, of_original, next(iter(probes.values())))

        def values_of_original(crops: Image) -> Values:
            face = prepare(crops, contract.input)
            found = onnxruntime_values(original, {entry: face})
            return {FACE: face} | {PREFIX + name: value for name, value in found.items()}

        return compare_formats(
            (
                Format("original", of_original, values_of_original),
                Format(
                    "onnxruntime",
                    lambda crops: run_onnx(network, crops),
                    lambda crops: onnxruntime_values(network, {"crop": crops}),
                    ADOPTED,
                ),
                Format(
                    "openvino",
                    lambda crops: np.array(compiled({"crop": crops})["logits"], np.float32),
                    lambda crops: openvino_values(network, {"crop": crops}),
                    ADOPTED,
                ),
            ),
            network,
            probes,
        )


def _check_rows(file: Path, run: Run, crops: Image) -> None:
    together = run(crops)
    alone = np.concatenate([run(crops[row : row + 1]) for row in range(len(crops))])
    difference = float(np.abs(alone - together).max())
    if difference > ROW_OF_LARGEST * max(1.0, float(np.abs(together).max())):
        raise AdoptionError(
            file,
            f"gives a face other logits when other faces are in the call: they differ by {difference:.3g}",
            hint="a norm or a mean over the batch? export it in evaluation mode",
        )


def _faces(count: int) -> str:
    return "one face" if count == 1 else f"{count} faces"


def _told(error: Exception) -> str:
    """ONNX Runtime's own account without the place in its sources."""
    text = str(error).partition("Status Message: ")
    return (text[2].rpartition(" was false. ")[2] or text[0]).strip()


def _session(network: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 4  # what fails is raised, and told by us
    return ort.InferenceSession(network, options, providers=["CPUExecutionProvider"])


def prepare(crops: Image, wanted: InputContract) -> npt.NDArray[np.float32]:
    """What the original network wants, made by OpenCV and numpy: the other way to what the graph does.

    Args:
        crops: (N, size, size) uint8.
        wanted: of the contract.

    Returns:
        (N, C, S, S) float32, or (N, S, S, C).
    """
    side = (wanted.size_px, wanted.size_px)
    faces = np.stack(
        [cv2.resize(crop.astype(np.float32), side, interpolation=cv2.INTER_LINEAR) for crop in crops]
    )
    planes = np.repeat(faces[:, np.newaxis], wanted.channels, axis=1)
    for channel, (scale, offset) in enumerate(
        zip(*(value.ravel() for value in wanted.per_channel()), strict=True)
    ):
        planes[:, channel] = scale * planes[:, channel] + offset
    return np.ascontiguousarray(planes if wanted.layout == "NCHW" else np.moveaxis(planes, 1, -1))


def run_onnx(network: Path, crops: Image) -> Logits:
    """What the bundle's own graph gives in ONNX Runtime for (N, size, size) uint8 crops: (N, K)."""
    (logits,) = _session(network).run(["logits"], {"crop": crops})
    return np.asarray(logits, np.float32)
