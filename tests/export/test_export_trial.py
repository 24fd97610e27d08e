import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from export_parts import TINY, drawn_faces, make_network
from typer.testing import CliRunner

from calibration.cli import evaluate_app
from edge_runtime.errors import BundleError, RoomtoneError
from edge_runtime.faces.alignment import LOOSE_TEMPLATE
from edge_runtime.faces.precut import align_precut
from export.checkpoints import CheckpointError, load_checkpoint, save_checkpoint
from export.deploy import network_inputs
from export.pipeline import ExportStepError


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "drawn.npz"
    faces = drawn_faces(35, seed=9)
    np.savez(path, images=faces.images, labels=faces.labels, split=np.full(35, 2))
    return path


def evaluate(*arguments: object) -> dict[str, object]:
    words = [str(word) for word in (*arguments, "--json")]
    result = CliRunner().invoke(evaluate_app, words, catch_exceptions=False)
    facts: dict[str, object] = json.loads(result.stdout)
    return facts


def changed(checkpoint: Path, folder: Path, weights: dict[str, torch.Tensor], **facts: object) -> Path:
    save_checkpoint(folder / "c.safetensors", weights, load_checkpoint(checkpoint).facts | facts)
    return folder / "c.safetensors"


def test_a_checkpoint_is_measured_as_its_network_answers(checkpoint: Path, data: Path) -> None:
    facts = evaluate(checkpoint, "--data", data)
    faces = drawn_faces(35, seed=9)
    crops = align_precut(faces.images, faces.located, LOOSE_TEMPLATE)
    with torch.no_grad():
        answers = make_network()(*network_inputs(("crop",), crops)).logits.argmax(dim=1).numpy()
    assert facts["accuracy"] == pytest.approx((answers == faces.labels).mean())
    assert facts["engine"]["precision"] == "fp32"  # type: ignore[index]
    assert facts["left_out"]["pixel-identical to a training image"] == 0  # type: ignore[index]


def test_weights_of_another_network_are_named(checkpoint: Path, data: Path, tmp_path: Path) -> None:
    weights = load_checkpoint(checkpoint).weights
    del weights["classifier.bias"]
    with pytest.raises(ExportStepError, match=r"1 tensors missing \(classifier\.bias\)") as raised:
        evaluate(changed(checkpoint, tmp_path, weights), "--data", data)
    assert raised.value.exit_code == CheckpointError.exit_code


def test_weights_of_another_class_count_are_named(checkpoint: Path, data: Path, tmp_path: Path) -> None:
    weights = dict(make_network(num_classes=8).state_dict())
    with pytest.raises(ExportStepError, match=r"classifier\.weight is \(8, 64\), not \(7, 64\)"):
        evaluate(changed(checkpoint, tmp_path, weights), "--data", data)


def test_a_recipe_of_an_unknown_network_is_refused(checkpoint: Path, data: Path, tmp_path: Path) -> None:
    stored = load_checkpoint(checkpoint)
    recipe = stored.facts["recipe"] | {"architecture": "alexnet"}
    with pytest.raises(RoomtoneError, match=f"'alexnet' is not one of .*{TINY}"):
        evaluate(changed(checkpoint, tmp_path, stored.weights, recipe=recipe), "--data", data)


def test_a_pickle_is_refused_and_not_opened(data: Path, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(pickle.dumps(evaluate))
    with pytest.raises(CheckpointError, match="cannot be read as safetensors"):
        evaluate(tmp_path / "model.pt", "--data", data)


def test_what_is_not_there_is_no_bundle(data: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        evaluate(tmp_path / "nothing", "--data", data)
