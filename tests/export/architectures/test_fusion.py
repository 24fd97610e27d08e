from pathlib import Path

import numpy as np
import pytest
import torch
from export_parts import drawn_faces

from edge_runtime.bundle import open_bundle
from edge_runtime.config import InferenceSection
from edge_runtime.inference.opening import open_engine
from export.architectures import ARCHITECTURES
from export.architectures.fusion import FusionConfig, scale_to_unit
from export.pipeline import export_bundle
from export.trained import ExportRequest
from export.training.recipe import Recipe
from export.training.trainer import Trainer


def test_each_row_is_scaled_by_its_own_least_and_largest_value() -> None:
    scaled = scale_to_unit(torch.tensor([[2.0, 4.0, 3.0], [-10.0, 0.0, 10.0], [5.0, 5.0, 5.0]]))
    torch.testing.assert_close(scaled, torch.tensor([[0, 1, 0.5], [0, 0.5, 1], [0, 0, 0]]), atol=1e-5, rtol=0)


def test_the_fused_vector_has_all_parts() -> None:
    network = FusionConfig(width=4).network().eval()
    output = network(torch.zeros(2, 1, 96, 96), torch.rand(2, 1764), torch.rand(2, 2048))
    assert output.features.shape == (2, 8 * 4 + 1764 + 2048)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_it_is_trained_exported_and_run_like_any_other(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ARCHITECTURES, "fusion_tiny", lambda classes: FusionConfig(classes, width=4))
    faces = drawn_faces(16, seed=1)
    recipe = Recipe(architecture="fusion_tiny", epochs=1, batch_size=8, early_size_px=64, mixup=0.2)
    checkpoint = Trainer(recipe, faces, faces, tmp_path / "run").run(lambda now: None, lambda row: None)
    export_bundle(ExportRequest("fusion_tiny", checkpoint, tmp_path / "bundle", name="fusion"))
    bundle = open_bundle(tmp_path / "bundle")
    assert [(spec.kind, spec.shape) for spec in bundle.manifest.inputs] == [
        ("crop", (96, 96)),
        ("hog", (1764,)),
        ("sift", (2048,)),
    ]
    choice = open_engine(bundle, InferenceSection(backend=backend, precision="fp32"))
    assert choice.golden_difference < 1e-3
    assert choice.engine.logits(np.zeros((3, 96, 96), np.uint8)).shape == (3, 7)
