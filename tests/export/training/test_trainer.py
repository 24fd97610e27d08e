import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from export_parts import TINY, drawn_faces

from edge_runtime.errors import ConfigurationError, RoomtoneError
from edge_runtime.faces.labelled import FER_LABELS
from export.checkpoints import CheckpointError, load_checkpoint
from export.training.datasets import TrainingFaces
from export.training.progress import EpochResult
from export.training.recipe import Recipe
from export.training.run import DivergedError
from export.training.trainer import Trainer

RECIPE = Recipe(architecture=TINY, epochs=2, batch_size=8, learning_rate=0.02, ema=0.5)


@pytest.fixture(scope="module")
def faces() -> tuple[TrainingFaces, TrainingFaces]:
    return drawn_faces(32, seed=1), drawn_faces(14, seed=2)


def run(
    folder: Path, faces: tuple[TrainingFaces, TrainingFaces], recipe: Recipe = RECIPE, stop_after: int = 99
) -> None:
    def on_epoch(result: EpochResult) -> None:
        if result.epoch == stop_after:
            raise KeyboardInterrupt

    Trainer(recipe, *faces, folder).run(lambda now: None, on_epoch)


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(
    faces: tuple[TrainingFaces, TrainingFaces], tmp_path: Path
) -> None:
    run(tmp_path / "straight", faces)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", faces, stop_after=1)
    assert load_checkpoint(tmp_path / "stopped" / "checkpoint.safetensors").facts["epochs_done"] == 1
    run(tmp_path / "stopped", faces)
    for file in ("state.safetensors", "checkpoint.safetensors"):
        straight, stopped = (load_checkpoint(tmp_path / way / file) for way in ("straight", "stopped"))
        assert straight.facts == stopped.facts
        assert straight.facts["epochs_done"] == 2
        different = [n for n, t in straight.weights.items() if not torch.equal(t, stopped.weights[n])]
        assert different == []


def test_a_finished_run_is_not_run_again(faces: tuple[TrainingFaces, TrainingFaces], tmp_path: Path) -> None:
    run(tmp_path, faces)
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    run(tmp_path, faces)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_weights(
    faces: tuple[TrainingFaces, TrainingFaces], tmp_path: Path
) -> None:
    trainer = Trainer(RECIPE, *faces, tmp_path)

    def poison(result: EpochResult) -> None:
        with torch.no_grad():
            trainer.network.classifier.weight.fill_(torch.nan)

    with pytest.raises(DivergedError, match="epoch 2, step 1") as found:
        trainer.run(lambda now: None, poison)
    kept = load_checkpoint(tmp_path / "checkpoint.safetensors")
    assert kept.facts["epochs_done"] == 1
    assert all(bool(torch.isfinite(t.float()).all()) for t in kept.weights.values())
    assert "learning rate" in found.value.hint


def test_another_recipe_does_not_go_on_with_this_ones_state(
    faces: tuple[TrainingFaces, TrainingFaces], tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, faces, stop_after=1)
    with pytest.raises(RoomtoneError, match="belongs to another recipe"):
        run(tmp_path, faces, Recipe(architecture=TINY, epochs=2, batch_size=8, seed=1))


def test_without_an_average_the_last_weights_are_kept(
    faces: tuple[TrainingFaces, TrainingFaces], tmp_path: Path
) -> None:
    recipe = Recipe(architecture=TINY, epochs=1, batch_size=8, ema=0)
    run(tmp_path, faces, recipe)
    state = load_checkpoint(tmp_path / "state.safetensors").weights
    kept = load_checkpoint(tmp_path / "checkpoint.safetensors").weights
    assert all(torch.equal(state[f"network.{name}"], tensor) for name, tensor in kept.items())


def test_it_learns_what_can_be_learned(faces: tuple[TrainingFaces, TrainingFaces], tmp_path: Path) -> None:
    losses: list[float] = []
    recipe = Recipe(architecture=TINY, epochs=4, batch_size=8, learning_rate=0.05, label_smoothing=0)
    Trainer(recipe, *faces, tmp_path).run(lambda now: None, lambda row: losses.append(row.loss))
    assert losses[-1] < losses[0]


def test_a_class_without_a_training_image_is_named(
    faces: tuple[TrainingFaces, TrainingFaces], tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match="contempt: has no training image"):
        Trainer(RECIPE, *faces, tmp_path, label_names=(*FER_LABELS, "contempt"))


def test_too_little_room_is_said_before_the_work(
    faces: tuple[TrainingFaces, TrainingFaces], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("export.checkpoints.shutil.disk_usage", lambda folder: usage._replace(free=1_000_000))
    with pytest.raises(CheckpointError, match=r"need \d+ MB, and 1 MB are free"):
        Trainer(RECIPE, *faces, tmp_path / "run")


@pytest.mark.parametrize(
    ("training", "choosing", "problem"),
    [(5, 14, "5 images are less than one batch of 8"), (32, 0, "holds no images")],
    ids=["no whole batch", "nothing to choose on"],
)
def test_too_few_images_are_refused(
    training: int, choosing: int, problem: str, faces: tuple[TrainingFaces, TrainingFaces], tmp_path: Path
) -> None:
    cut = [
        TrainingFaces(f.images[:n], f.labels[:n], f.located)
        for f, n in zip(faces, (training, choosing), strict=True)
    ]
    with pytest.raises(ConfigurationError, match=problem):
        Trainer(RECIPE, cut[0], cut[1], tmp_path)


def test_a_damaged_state_is_named(faces: tuple[TrainingFaces, TrainingFaces], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, faces, stop_after=1)
    shutil.copy(tmp_path / "state.safetensors", tmp_path / "copy")
    data = (tmp_path / "copy").read_bytes()
    (tmp_path / "state.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(RoomtoneError, match=r"state\.safetensors: cannot be read"):
        run(tmp_path, faces)


def test_votes_are_learned_by_a_head_that_is_not_kept(
    faces: tuple[TrainingFaces, TrainingFaces], tmp_path: Path
) -> None:
    votes = np.random.default_rng(0).integers(0, 9, (32, 10), np.uint8)
    training = TrainingFaces(faces[0].images, faces[0].labels, faces[0].located, votes)
    recipe = Recipe(architecture=TINY, epochs=1, batch_size=8, votes_weight=0.5)
    run(tmp_path, (training, faces[1]), recipe)
    state = load_checkpoint(tmp_path / "state.safetensors").weights
    assert state["votes.weight"].shape == (10, 64)
    assert state["votes.bias"].abs().sum() > 0.01 * state["votes.weight"].abs().mean()
    kept = load_checkpoint(tmp_path / "checkpoint.safetensors").weights
    assert not [name for name in kept if name.startswith("votes")]


def test_a_run_ends_with_its_time_and_with_a_whole_schedule(
    faces: tuple[TrainingFaces, TrainingFaces], tmp_path: Path
) -> None:
    recipe = Recipe(architecture=TINY, epochs=10_000, batch_size=8)
    trainer = Trainer(recipe, *faces, tmp_path, minutes=0.5, clock=itertools.count().__next__)
    rates: list[float] = []
    trainer.run(lambda now: rates.append(trainer._optimizer.param_groups[0]["lr"]), lambda row: None)
    assert 5 < trainer.steps_done < 30  # the clock goes on by a second each time that it is looked at
    assert rates[-1] < 0.1 * max(rates)
    facts = load_checkpoint(tmp_path / "checkpoint.safetensors").facts
    assert facts["minutes"] == 0.5
    assert facts["steps_done"] == trainer.steps_done
    again = Trainer(recipe, *faces, tmp_path, minutes=0.5, clock=itertools.count().__next__)
    again.run(lambda now: pytest.fail("the time is over"), lambda row: None)


def test_the_curve_says_which_crops_were_trained(
    faces: tuple[TrainingFaces, TrainingFaces], tmp_path: Path
) -> None:
    recipe = Recipe(architecture=TINY, epochs=3, batch_size=8, early_size_px=48, early_share=0.5)
    run(tmp_path, faces, recipe)
    curve = load_checkpoint(tmp_path / "checkpoint.safetensors").facts["curve"]
    assert [row[3] for row in curve] == [48, 48, 96]
