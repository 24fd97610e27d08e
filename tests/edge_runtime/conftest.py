"""A bundle that is small, real and whole: one convolution, two engines, golden outputs."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.bundle import Manifest, describe_file
from edge_runtime.faces.labelled import FER_LABELS

SIZE, CHANNELS, CLASSES = 96, 8, len(FER_LABELS)


@dataclass(frozen=True)
class TinyNetwork:
    """`logits = W · mean(relu(conv(crop / 255))) + b`, as weights and in plain numpy."""

    kernels: np.ndarray  # (CHANNELS, 1, 8, 8), stride 8
    weight: np.ndarray  # (CHANNELS, CLASSES)
    bias: np.ndarray  # (CLASSES,)

    @classmethod
    def drawn(cls, seed: int = 7) -> TinyNetwork:
        rng = np.random.default_rng(seed)
        draw = [
            rng.normal(0, scale, shape) for scale, shape in ((0.25, (CHANNELS, 1, 8, 8)), (6, (CHANNELS, 7)))
        ]
        return cls(*(array.astype(np.float32) for array in (*draw, rng.normal(0, 0.5, CLASSES))))

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        patches = crops.astype(np.float64).reshape(-1, 12, 8, 12, 8).transpose(0, 1, 3, 2, 4) / 255
        features = np.maximum(np.einsum("nrcij,kij->nrck", patches, self.kernels[:, 0].astype(np.float64)), 0)
        return (features.mean(axis=(1, 2)) @ self.weight + self.bias).astype(np.float32)

    def onnx(self, *, output: str = "logits", classes: int = CLASSES) -> onnx.ModelProto:
        nodes = [
            helper.make_node("Cast", ["crop"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("Div", ["float", "full"], ["unit"]),
            helper.make_node("Unsqueeze", ["unit", "axis"], ["image"]),
            helper.make_node("Conv", ["image", "kernels"], ["conv"], strides=[8, 8], kernel_shape=[8, 8]),
            helper.make_node("Relu", ["conv"], ["relu"]),
            helper.make_node("GlobalAveragePool", ["relu"], ["pool"]),
            helper.make_node("Flatten", ["pool"], ["features"]),
            helper.make_node("Gemm", ["features", "weight", "bias"], [output]),
        ]
        constants = {
            "full": np.array(255, np.float32),
            "axis": np.array([1], np.int64),
            "kernels": self.kernels,
            "weight": self.weight[:, :classes],
            "bias": self.bias[:classes],
        }
        graph = helper.make_graph(
            nodes,
            "tiny",
            [helper.make_tensor_value_info("crop", TensorProto.UINT8, ["N", SIZE, SIZE])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", classes])],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        return model


def tiny_manifest(folder: Path) -> Manifest:
    """Every file of the folder with its digest; one fp32 network for both engines, ONNX Runtime first."""
    places = [(-0.65, 0.7), (-0.7, 0.35), (-0.65, 0.75), (0.85, 0.45), (-0.75, -0.35), (0.2, 0.8), (0.0, 0.0)]
    readings = ("frustration", "frustration", "anxiety", "interest", "boredom", "interest", "thinking")
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    backends = ("onnxruntime", "openvino")
    return Manifest.model_validate(
        {
            "name": "tiny",
            "version": "0.1.0",
            "architecture": {"name": "one-convolution", "parameters": 575, "multiply_adds": 73_784},
            "labels": [
                {"name": name, "polarity": int(np.sign(v)), "valence": v, "arousal": a, "reading": reading}
                for name, (v, a), reading in zip(FER_LABELS, places, readings, strict=True)
            ],
            "inputs": [{"kind": "crop", "tensor": "crop", "dtype": "uint8", "shape": [SIZE, SIZE]}],
            "outputs": [{"kind": "logits", "tensor": "logits", "dtype": "float32", "shape": [CLASSES]}],
            "alignment": {"name": "p1", "size_px": SIZE, "pupil_x_px": 24, "pupil_y_px": 24},
            "readable_width_px": 32,
            "temperature": 1.5,
            "variants": [
                {"backend": backend, "precision": "fp32", "file": "model.fp32.onnx"} for backend in backends
            ],
            "files": [describe_file(folder, path) for path in files if path != "bundle.json"],
        }
    )


def seal(folder: Path, **changes: object) -> Path:
    """Writes `bundle.json` anew, with the digests of the files as they are now and these keys changed."""
    document = tiny_manifest(folder).model_dump(mode="json", by_alias=True, exclude_none=True)
    (folder / "bundle.json").write_text(Manifest.model_validate({**document, **changes}).to_json(), "utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny_network() -> TinyNetwork:
    """The network of `tiny_bundle`, in numpy."""
    return TinyNetwork.drawn()


@pytest.fixture(scope="session")
def tiny_original(tmp_path_factory: pytest.TempPathFactory, tiny_network: TinyNetwork) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    folder.mkdir()
    onnx.save(tiny_network.onnx(), folder / "model.fp32.onnx")
    crops = np.random.default_rng(1).integers(0, 256, (5, SIZE, SIZE), np.uint8)
    tolerances = {"tolerance_fp32": 1e-4, "tolerance_bf16": 0.5, "tolerance_int8": 0.5}
    np.savez(folder / "golden.npz", crops=crops, logits=tiny_network(crops), **tolerances)
    (folder / "MODEL_CARD.md").write_text("A network for tests; its answers mean nothing.\n", "utf-8")
    return seal(folder)


@pytest.fixture
def tiny_bundle(tiny_original: Path, tmp_path: Path) -> Path:
    """The folder of a whole, valid bundle that the test may change; see `seal`."""
    return Path(shutil.copytree(tiny_original, tmp_path / "tiny"))


@pytest.fixture(scope="session")
def seal_bundle():
    """`seal`, for tests that change a bundle on purpose."""
    return seal
