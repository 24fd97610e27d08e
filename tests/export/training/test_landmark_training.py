"""The landmark network: what it learns from, that it learns, goes on where it was stopped, and can be exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from export_parts import make_network

from edge_runtime.errors import BundleError, BundleTamperedError, ConfigurationError, RoomtoneError
from edge_runtime.faces.alignment import default_pupils, similarity
from edge_runtime.faces.landmarks import LANDMARK_TEMPLATE, to_crop
from edge_runtime.inference.landmark_engine import open_landmark_finder
from edge_runtime.landmark_bundle import embed_landmarks, open_landmarks
from export.architectures.landmark_net import LandmarkNetConfig, LandmarkObjective, LandmarkOutput
from export.checkpoints import CheckpointError, load_checkpoint, save_checkpoint
from export.landmarks import export_landmarks
from export.training.landmark_cuts import CutAugmentation, disturbed_cuts, rendered_faces
from export.training.landmark_trainer import LandmarkRecipe, LandmarkTrainer

NO_CHANGE = CutAugmentation(0, 0, 0, 0, 0, 0, 0)


@pytest.fixture(scope="module")
def faces():
    return rendered_faces(48, 144, np.random.default_rng(3))


def trained(faces, folder: Path, epochs: int, **changes) -> LandmarkTrainer:
    recipe = LandmarkRecipe(epochs=epochs, batch_size=16, rendered=0, ema=0.5, **changes)
    return LandmarkTrainer(recipe, faces, faces.rows(slice(0, 16)), folder)


@pytest.fixture(scope="module")
def checkpoint(faces, tmp_path_factory):
    return trained(faces, tmp_path_factory.mktemp("run"), 1).run(lambda now: None, lambda row: None)


@pytest.fixture(scope="module")
def exported(checkpoint, tmp_path_factory):
    return export_landmarks(checkpoint, tmp_path_factory.mktemp("out") / "landmarks")


def test_an_undisturbed_cut_is_the_devices_own(faces):
    crops, points, scale = disturbed_cuts(faces, NO_CHANGE, np.random.default_rng(0))
    matrices = similarity(default_pupils(faces.boxes_xyxy), LANDMARK_TEMPLATE)
    np.testing.assert_allclose(
        points.reshape(-1, 68, 2), to_crop(faces.marks_xy, matrices, LANDMARK_TEMPLATE), atol=1e-5
    )
    assert crops.shape == (48, 64, 64)
    assert scale.min() > 0.3


def test_a_mirrored_face_keeps_its_left_marks_on_the_images_left(faces):
    (crops, points, _), (mirrored, turned, _) = (
        disturbed_cuts(faces, CutAugmentation(0, 0, 0, flip, 0, 0, 0), np.random.default_rng(0))
        for flip in (0.0, 1.0)
    )
    np.testing.assert_array_equal(mirrored, crops[:, :, ::-1])
    both = turned.reshape(-1, 68, 2)
    assert (both[:, 36, 0] < both[:, 45, 0]).all()
    # The image-left outer corner of the mirror image is the other one of the face, seen from the other side.
    np.testing.assert_allclose(both[:, 36, 0], -points.reshape(-1, 68, 2)[:, 45, 0], atol=1e-6)


def test_a_cut_beside_the_face_is_marked_as_none(faces):
    _, _, scale = disturbed_cuts(
        faces, CutAugmentation(0, 0, 0, 0, 0, 0, beside=1.0), np.random.default_rng(0)
    )
    assert (scale == 0).all()


def test_the_loss_is_nothing_where_all_is_right_and_faceless_cuts_teach_no_points():
    config = LandmarkNetConfig()
    objective, points = LandmarkObjective(config), torch.rand(2, 136)
    certain = torch.full((2, 1), float(np.log(0.01)))
    assert objective(LandmarkOutput(points, certain), points, torch.tensor([1.0, 1.0])).item() < 1e-6
    doubtful = torch.full((2, 1), float(np.log(0.5)))
    none = objective(LandmarkOutput(points + 1, doubtful), points, torch.tensor([0.0, 0.0]))
    assert none.item() < 1e-6


def test_it_learns_what_it_is_shown(faces, tmp_path):
    trainer = trained(faces, tmp_path, 12, augmentation=NO_CHANGE)
    trainer.run(lambda now: None, lambda row: None)
    assert trainer.curve[-1].loss < 0.7 * trainer.curve[0].loss


def test_a_run_that_was_stopped_goes_on_to_the_same_end(faces, tmp_path):
    class StoppedError(Exception):
        pass

    def stop(row):
        if row.epoch == 1:
            raise StoppedError

    through = trained(faces, tmp_path / "through", 2).run(lambda now: None, lambda row: None)
    with pytest.raises(StoppedError):
        trained(faces, tmp_path / "halves", 2).run(lambda now: None, stop)
    halves = trained(faces, tmp_path / "halves", 2).run(lambda now: None, lambda row: None)
    one, other = load_checkpoint(through).weights, load_checkpoint(halves).weights
    for name, tensor in one.items():
        torch.testing.assert_close(other[name], tensor, msg=name)


def test_a_folder_of_another_recipe_is_not_gone_on_with(faces, checkpoint):
    with pytest.raises(RoomtoneError, match="another recipe"):
        trained(faces, checkpoint.parent, 1, seed=9)


def test_fewer_faces_than_a_batch_are_refused(faces, tmp_path):
    with pytest.raises(ConfigurationError, match="less than one batch"):
        trained(faces.rows(slice(0, 3)), tmp_path, 1)


def test_the_export_proves_every_engine_and_opens(exported):
    assert {hop.hop for hop in exported.parity} == {"torch → onnxruntime", "onnxruntime → openvino"}
    assert max(hop.difference for hop in exported.parity) < 1e-4
    assert exported.bundle.manifest.architecture.multiply_adds < 20e6
    found = open_landmark_finder(exported.bundle.folder).find(
        np.full((100, 100), 90, np.uint8), np.array([[20, 20, 80, 80]], np.float32)
    )
    assert found.points_xy.shape == (1, 70, 2)


def test_another_networks_checkpoint_is_refused_by_name(tmp_path):
    save_checkpoint(
        tmp_path / "other.safetensors", dict(make_network().state_dict()), {"recipe": {"epochs": 1}}
    )
    with pytest.raises(CheckpointError, match="is no landmark network's"):
        export_landmarks(tmp_path / "other.safetensors", tmp_path / "out")


def test_what_is_there_is_not_replaced_unless_it_is_asked_for(exported, checkpoint, tmp_path):
    with pytest.raises(BundleError, match="there already"):
        export_landmarks(checkpoint, exported.bundle.folder)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(BundleError):
        export_landmarks(checkpoint, tmp_path, force=True)


@pytest.mark.parametrize(
    ("damage", "error", "said"),
    [
        pytest.param(
            lambda f: (f / "landmarks.json").unlink(), BundleError, "cannot be read", id="no manifest"
        ),
        pytest.param(lambda f: (f / "landmarks.json").write_text("{"), BundleError, "not JSON", id="cut off"),
        pytest.param(lambda f: (f / "landmarks.json").write_text("{}"), BundleError, "version", id="empty"),
        pytest.param(
            lambda f: (f / "golden.npz").unlink(), BundleError, "golden.npz", id="no golden outputs"
        ),
        pytest.param(
            lambda f: (f / "model.fp32.onnx").write_bytes(b"another"),
            BundleTamperedError,
            "bytes",
            id="another network",
        ),
    ],
)
def test_a_damaged_network_does_not_open_and_says_why(exported, tmp_path, damage, error, said):
    embed_landmarks(exported.bundle.folder, tmp_path)
    folder = tmp_path / "landmarks"
    assert open_landmarks(folder).manifest == exported.bundle.manifest
    damage(folder)
    with pytest.raises(error, match=said):
        open_landmarks(folder)
