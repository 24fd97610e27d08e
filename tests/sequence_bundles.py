"""A bundle of sequences that is small, real and whole: a frame encoder, a head, two engines, golden outputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.bundle import Manifest, describe_file
from edge_runtime.faces.labelled import FER_LABELS

SIZE, CHANNELS, CLASSES, FRAMES, DISTANCES = 96, 8, len(FER_LABELS), 5, 38
STRIDE_S = 0.25
ENCODER, HEAD = "encoder.fp32.onnx", "head.fp32.onnx"


@dataclass(frozen=True)
class TinySequence:
    """Features: means of a convolution, and a product with the distances; logits: a product with all frames'."""

    kernels: np.ndarray  # (CHANNELS, 1, 8, 8), stride 8
    mix: np.ndarray | None  # (38, 2), of the distances; None: crops alone
    weight: np.ndarray  # (FRAMES * F, CLASSES)
    bias: np.ndarray  # (CLASSES,)

    @classmethod
    def drawn(cls, *, landmarks: bool = False, seed: int = 11) -> TinySequence:
        rng = np.random.default_rng(seed)
        length = CHANNELS + 2 * landmarks
        return cls(
            rng.normal(0, 0.25, (CHANNELS, 1, 8, 8)).astype(np.float32),
            rng.normal(0, 0.1, (DISTANCES, 2)).astype(np.float32) if landmarks else None,
            rng.normal(0, 2, (FRAMES * length, CLASSES)).astype(np.float32),
            rng.normal(0, 0.5, CLASSES).astype(np.float32),
        )

    @property
    def feature_length(self) -> int:
        return len(self.weight) // FRAMES

    @property
    def kinds(self) -> tuple[str, ...]:
        return ("crop",) if self.mix is None else ("crop", "landmark_distances")

    def encode(self, crops: np.ndarray, distances: np.ndarray | None = None) -> np.ndarray:
        patches = crops.astype(np.float64).reshape(-1, 12, 8, 12, 8).transpose(0, 1, 3, 2, 4) / 255
        maps = np.maximum(np.einsum("nrcij,kij->nrck", patches, self.kernels[:, 0].astype(np.float64)), 0)
        features = maps.mean(axis=(1, 2))
        if self.mix is not None:
            features = np.concatenate([features, distances.astype(np.float64) @ self.mix], axis=1)
        return features

    def head(self, sequences: np.ndarray) -> np.ndarray:
        return sequences.reshape(len(sequences), -1) @ self.weight.astype(np.float64) + self.bias

    def logits(self, crops: np.ndarray, distances: np.ndarray | None = None) -> np.ndarray:
        """The whole sequence at once: (N, M, 96, 96) → (N, K)."""
        flat = None if distances is None else distances.reshape(-1, DISTANCES)
        features = self.encode(crops.reshape(-1, SIZE, SIZE), flat)
        return self.head(features.reshape(len(crops), FRAMES, -1)).astype(np.float32)

    def encoder_onnx(self) -> onnx.ModelProto:
        nodes = [
            helper.make_node("Cast", ["crop"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("Div", ["float", "full"], ["unit"]),
            helper.make_node("Unsqueeze", ["unit", "axis"], ["image"]),
            helper.make_node(
                "Conv", ["image", "kernels"], ["conv"], name="conv", strides=[8, 8], kernel_shape=[8, 8]
            ),
            helper.make_node("Relu", ["conv"], ["relu"]),
            helper.make_node("GlobalAveragePool", ["relu"], ["pool"]),
            helper.make_node("Flatten", ["pool"], ["seen"]),
        ]
        constants = {"full": np.float32(255), "axis": np.array([1], np.int64), "kernels": self.kernels}
        inputs = [helper.make_tensor_value_info("crop", TensorProto.UINT8, ["N", SIZE, SIZE])]
        parts = ["seen"]
        if self.mix is not None:
            nodes.append(helper.make_node("MatMul", ["landmark_distances", "mix"], ["measured"], name="mix"))
            constants["mix"] = self.mix
            shape = ["N", DISTANCES]
            inputs.append(helper.make_tensor_value_info("landmark_distances", TensorProto.FLOAT, shape))
            parts.append("measured")
        nodes.append(helper.make_node("Concat", parts, ["features"], axis=1))
        outputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", self.feature_length])]
        return _model(nodes, inputs, outputs, constants)

    def head_onnx(self) -> onnx.ModelProto:
        nodes = [
            helper.make_node("Reshape", ["sequence", "flat"], ["row"]),
            helper.make_node("Gemm", ["row", "weight", "bias"], ["logits"], name="gemm"),
            helper.make_node("Slice", ["logits", "first", "end", "axis"], ["two"]),
            helper.make_node("Tanh", ["two"], ["valence_arousal"]),
        ]
        constants = {
            "flat": np.array([-1, len(self.weight)], np.int64),
            "weight": self.weight,
            "bias": self.bias,
            "first": np.array([0], np.int64),
            "end": np.array([2], np.int64),
            "axis": np.array([1], np.int64),
        }
        shape = ["N", FRAMES, self.feature_length]
        return _model(
            nodes,
            [helper.make_tensor_value_info("sequence", TensorProto.FLOAT, shape)],
            [
                helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES]),
                helper.make_tensor_value_info("valence_arousal", TensorProto.FLOAT, ["N", 2]),
            ],
            constants,
        )


def _model(nodes, inputs, outputs, constants) -> onnx.ModelProto:
    initial = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, initial)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def draw(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sequences of noise, and distances that faces could have."""
    rng = np.random.default_rng(seed)
    crops = rng.integers(0, 256, (count, FRAMES, SIZE, SIZE), np.uint8)
    return crops, rng.uniform(0.2, 2, (count, FRAMES, DISTANCES)).astype(np.float32)


def write_sequence_bundle(folder: Path, network: TinySequence, **changes: object) -> Path:
    """The whole bundle in an empty folder."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(network.encoder_onnx(), folder / ENCODER)
    onnx.save(network.head_onnx(), folder / HEAD)
    crops, distances = draw(3, seed=1)
    given = {} if network.mix is None else {"landmark_distances": distances}
    logits = network.logits(crops, *given.values())
    np.savez(folder / "golden.npz", crops=crops, logits=logits, tolerance_fp32=1e-3, **given)
    (folder / "MODEL_CARD.md").write_text("A network for tests; its answers mean nothing.\n", "utf-8")
    return seal_sequence(folder, network, **changes)


def seal_sequence(folder: Path, network: TinySequence, **changes: object) -> Path:
    """Writes `bundle.json` anew, with the digests of the files as they are now and these keys changed."""
    shapes = {"crop": ("uint8", [SIZE, SIZE]), "landmark_distances": ("float32", [DISTANCES])}
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    document = {
        "schema": "roomtone-bundle/1",
        "name": "tiny-sequence",
        "version": "0.1.0",
        "architecture": {"name": "one-convolution", "parameters": 575, "multiply_adds": 73_784},
        "labels": [
            {"name": name, "polarity": 0, "valence": 0.1, "arousal": 0.2, "reading": f"reading_{name}"}
            for name in FER_LABELS
        ],
        "inputs": [
            {"kind": kind, "tensor": kind, "dtype": shapes[kind][0], "shape": shapes[kind][1]}
            for kind in network.kinds
        ],
        "outputs": [
            {"kind": "logits", "tensor": "logits", "dtype": "float32", "shape": [CLASSES]},
            {"kind": "valence_arousal", "tensor": "valence_arousal", "dtype": "float32", "shape": [2]},
        ],
        "alignment": {"name": "p1", "size_px": SIZE, "pupil_x_px": 24, "pupil_y_px": 24},
        "readable_width_px": 32,
        "temperature": 1.5,
        "sequence": {
            "frames": FRAMES,
            "stride_s": STRIDE_S,
            "feature_length": network.feature_length,
        },
        "variants": [
            {
                "backend": backend,
                "precision": "fp32",
                "file": ENCODER,
                "head": HEAD,
                "head_precision": "fp32",
            }
            for backend in ("onnxruntime", "openvino")
        ],
        "files": [
            describe_file(folder, path).model_dump(mode="json") for path in files if path != "bundle.json"
        ],
    }
    (folder / "bundle.json").write_text(Manifest.model_validate({**document, **changes}).to_json(), "utf-8")
    return folder
