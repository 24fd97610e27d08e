"""A bundle whose network is known by heart: pooled pixels times a matrix, fitted to rendered faces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.bundle import Alignment, Architecture, Label, Manifest, TensorSpec, Variant
from edge_runtime.bundle_card import CARD, render_card
from edge_runtime.bundle_writing import digests, new_bundle, write_manifest
from edge_runtime.faces.alignment import LOOSE_TEMPLATE, align
from edge_runtime.faces.labelled import FER_LABELS
from edge_runtime.faces.precut import PrecutLocator
from export.probes import rendered_faces

TRAINING, PUBLIC, PRIVATE, REPEATED = 210, 84, 84, 5
POOL = 8  # pixels a side that are averaged


@dataclass(frozen=True)
class FacesFile:
    path: Path
    images: np.ndarray
    labels: np.ndarray
    split: np.ndarray

    def crops(self, split: int) -> np.ndarray:
        """Cut here by hand, one by one, as the device would."""
        images = self.images[self.split == split]
        pupils = PrecutLocator()(images).pupils_xy
        return np.concatenate(
            [align(image, pupils[i : i + 1], LOOSE_TEMPLATE) for i, image in enumerate(images)]
        )


def write_faces(path: Path) -> FacesFile:
    """210 training, 84 public and 89 private images, five of the last pixel-identical to training images."""
    count = TRAINING + PUBLIC + PRIVATE
    images = rendered_faces(count, np.random.default_rng(21))
    images = np.concatenate([images, images[:REPEATED]])
    labels = np.concatenate([np.arange(count), np.arange(REPEATED)]) % 7
    split = np.repeat([0, 1, 2], [TRAINING, PUBLIC, PRIVATE + REPEATED])
    np.savez(path, images=images, labels=labels, split=split)
    return FacesFile(path, images, labels, split)


def pooled(crops: np.ndarray) -> np.ndarray:
    cells = 96 // POOL
    blocks = crops.astype(np.float32).reshape(len(crops), cells, POOL, cells, POOL)
    return blocks.mean(axis=(2, 4)).reshape(len(crops), -1)


def fit_matrix(faces: FacesFile, sharpness: float) -> tuple[np.ndarray, np.ndarray]:
    """Ridge regression onto the classes; `sharpness` makes the logits too sure or too shy."""
    x, y = pooled(faces.crops(0)), np.eye(7)[faces.labels[faces.split == 0]]
    middle = x.mean(axis=0)
    gram = (x - middle).T @ (x - middle) + 2e4 * np.eye(x.shape[1])
    weights = sharpness * np.linalg.solve(gram, (x - middle).T @ (y - y.mean(axis=0)))
    return weights.astype(np.float32), (-middle @ weights).astype(np.float32)


def write_linear_bundle(
    folder: Path, faces: FacesFile, *, sharpness: float = 40.0, order: tuple[str, ...] = FER_LABELS
) -> None:
    columns = [FER_LABELS.index(name) for name in order]
    weights, bias = (part[..., columns] for part in fit_matrix(faces, sharpness))
    crops = faces.crops(1)[:8]
    with new_bundle(folder) as partial:
        onnx.save(_graph(weights, bias), partial / "model.onnx")
        logits = (pooled(crops) @ weights + bias).astype(np.float32)
        np.savez(partial / "golden.npz", crops=crops, logits=logits, tolerance_fp32=np.float64(0.01))
        manifest = _manifest(order, digests(partial))
        (partial / CARD).write_text(render_card(manifest), encoding="utf-8")
        write_manifest(partial, manifest.model_copy(update={"files": digests(partial)}))


def _graph(weights: np.ndarray, bias: np.ndarray) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Cast", ["crop"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["float", "axis"], ["planes"]),
        helper.make_node(
            "AveragePool", ["planes"], ["cells"], kernel_shape=[POOL, POOL], strides=[POOL, POOL]
        ),
        helper.make_node("Flatten", ["cells"], ["row"]),
        helper.make_node("Gemm", ["row", "weights", "bias"], ["logits"], name="classifier"),
    ]
    constants = {"axis": np.array([1]), "weights": weights, "bias": bias}
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("crop", TensorProto.UINT8, ["batch", 96, 96])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(bias)])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def _manifest(order: tuple[str, ...], files: tuple) -> Manifest:
    return Manifest(
        schema_id="roomtone-bundle/1",
        name="linear",
        version="0.0.1",
        architecture=Architecture(name="linear", parameters=1015, multiply_adds=1008),
        labels=tuple(Label(name=n, polarity=0, valence=0, arousal=0, reading="calm") for n in order),
        inputs=(TensorSpec(kind="crop", tensor="crop", dtype="uint8", shape=(96, 96)),),
        outputs=(TensorSpec(kind="logits", tensor="logits", dtype="float32", shape=(len(order),)),),
        alignment=Alignment(name="loose", size_px=96, pupil_x_px=30, pupil_y_px=31),
        readable_width_px=24,  # a drawn face fills 0.57 of its cut, so one of 60 px holds 26 px of face
        temperature=1.0,
        variants=(
            Variant(backend="onnxruntime", precision="fp32", file="model.onnx"),
            Variant(backend="openvino", precision="fp32", file="model.onnx"),
        ),
        files=files,
        provenance={"trained_on": "drawn faces"},
    )
