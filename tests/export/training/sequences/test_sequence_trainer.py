import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from edge_runtime.errors import ConfigurationError, RoomtoneError
from edge_runtime.faces.labelled import FER_LABELS
from export.architectures import SEQUENCE_ARCHITECTURES
from export.architectures.attention_fusion import AttentionFusionConfig
from export.architectures.vit_vlad import VitVladConfig
from export.checkpoints import CheckpointError, load_checkpoint, save_checkpoint
from export.cli import train_app
from export.sequence_cli import SEQUENCE_NETWORKS, sequences_app
from export.training.progress import EpochResult
from export.training.sequences.ablation import ATTENTIONS, ablate
from export.training.sequences.batches import TrainingClips
from export.training.sequences.checkpoints import load_trained
from export.training.sequences.clips import Clips, load_clips
from export.training.sequences.measuring import concordance, f1_scores, measure_sequences
from export.training.sequences.recipe import SequenceRecipe
from export.training.sequences.simulated import simulated_clips
from export.training.sequences.trainer import SequenceTrainer

TINY = {
    "attention_fusion_tiny": lambda num_classes: AttentionFusionConfig(
        num_classes, frames=4, convolutions=(8, 8, 8, 8, 8), embedding=16, hidden=8, merged=8
    ),
    "vit_vlad_tiny": lambda num_classes: VitVladConfig(
        num_classes,
        frames=4,
        widths=(8, 8, 16),
        tokens=16,
        depth=1,
        heads=2,
        clusters=4,
        temporal_depth=1,
    ),
}


@pytest.fixture(autouse=True)
def _tiny_architectures(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    for name, build in TINY.items():
        monkeypatch.setitem(SEQUENCE_ARCHITECTURES, name, build)


@pytest.fixture(scope="module")
def clips() -> Clips:
    return simulated_clips(28, FER_LABELS, 4, 0.25, seed=0)


def recipe(name: str, **changes: object) -> SequenceRecipe:
    usual = {"epochs": 2, "epoch_steps": 3, "batch_size": 4, "still_batch": 8, "still_share": 0.5, "ema": 0.5}
    return SequenceRecipe(name, **{**usual, **changes})  # type: ignore[arg-type]


def run(folder: Path, clips: Clips, of: SequenceRecipe, stop_after: int = 99) -> list[EpochResult]:
    rows: list[EpochResult] = []

    def on_epoch(row: EpochResult) -> None:
        rows.append(row)
        if row.epoch == stop_after:
            raise KeyboardInterrupt

    SequenceTrainer(of, TrainingClips(clips), (clips,), folder, FER_LABELS).run(lambda now: None, on_epoch)
    return rows


@pytest.mark.parametrize("name", TINY)
def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(name: str, clips: Clips, tmp_path: Path) -> None:
    run(tmp_path / "straight", clips, recipe(name))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", clips, recipe(name), stop_after=1)
    run(tmp_path / "stopped", clips, recipe(name))
    for file in ("state.safetensors", "checkpoint.safetensors"):
        straight, stopped = (load_checkpoint(tmp_path / way / file) for way in ("straight", "stopped"))
        assert straight.facts == stopped.facts
        different = [n for n, t in straight.weights.items() if not torch.equal(t, stopped.weights[n])]
        assert different == []


@pytest.mark.parametrize("name", TINY)
def test_it_learns_what_can_be_learned(name: str, clips: Clips, tmp_path: Path) -> None:
    rows = run(
        tmp_path, clips, recipe(name, epochs=4, epoch_steps=12, label_smoothing=0.0, learning_rate=4e-3)
    )
    assert rows[-1].loss < rows[0].loss


@pytest.mark.parametrize("name", TINY)
def test_a_checkpoint_is_asked_about_clips(name: str, clips: Clips, tmp_path: Path) -> None:
    run(tmp_path, clips, recipe(name, epochs=1))
    trained = load_trained(tmp_path / "checkpoint.safetensors")
    assert (trained.label_names, trained.config.frames) == (FER_LABELS, 4)
    found, still = measure_sequences(trained, clips, "tiny")
    assert (found.name, still.name) == ("tiny", "tiny, newest frame alone")
    assert 0 <= found.accuracy <= 1
    assert found.macro_f1 == pytest.approx(sum(found.f1.values()) / 7)
    assert all(-1 <= value <= 1 for value in found.concordance)


def test_another_recipe_does_not_go_on_with_this_ones_state(clips: Clips, tmp_path: Path) -> None:
    run(tmp_path, clips, recipe("vit_vlad_tiny", epochs=1))
    with pytest.raises(RoomtoneError, match="belongs to another recipe"):
        run(tmp_path, clips, recipe("vit_vlad_tiny", epochs=1, seed=1))


def test_every_set_of_attentions_is_trained_and_measured(clips: Clips, tmp_path: Path) -> None:
    run(tmp_path, clips, recipe("attention_fusion_tiny", epochs=1))
    trained = load_trained(tmp_path / "checkpoint.safetensors")
    before = {name: tensor.clone() for name, tensor in trained.network.state_dict().items()}
    done: list[int] = []
    rows = ablate(trained, clips, clips, steps=2, seeds=2, on_progress=lambda now, total: done.append(now))
    assert len({row.attentions for row in rows}) == 8
    assert rows[0].attentions == ()
    assert rows[-1].attentions == ATTENTIONS
    assert all(len(row.macro_f1) == 2 for row in rows)
    assert done == list(range(1, 17))
    assert all(torch.equal(before[name], t) for name, t in trained.network.state_dict().items())


def test_a_checkpoint_of_single_images_is_named(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, {"a": torch.zeros(1)}, {"recipe": {"architecture": "hafnet"}, "labels": ["happy"]})
    with pytest.raises(CheckpointError, match="not of a network of sequences"):
        load_trained(path)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"template": "wide"}, "template: is 'wide'"),
        ({"still_share": 1.5}, "still_share: is 1.5"),
        ({"stride_s": 0.0}, "stride_s: is 0"),
    ],
    ids=["template", "share", "stride"],
)
def test_a_recipe_out_of_its_range_is_refused(changes: dict[str, float], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        SequenceRecipe(**changes)  # type: ignore[arg-type]


def test_a_recipe_survives_its_checkpoint() -> None:
    of = SequenceRecipe("vit_vlad_edge", {"frames": 10}, stride_s=0.5, seed=3)
    assert SequenceRecipe.from_json(of.to_json()) == of


def test_the_command_knows_all_networks_of_sequences() -> None:
    assert set(SEQUENCE_NETWORKS) == set(SEQUENCE_ARCHITECTURES) - set(TINY)


def test_the_ablation_is_of_p1s_network(clips: Clips, tmp_path: Path) -> None:
    run(tmp_path, clips, recipe("vit_vlad_tiny", epochs=1))
    done = CliRunner().invoke(sequences_app, ["ablate", str(tmp_path / "checkpoint.safetensors")])
    assert isinstance(done.exception, ConfigurationError)
    assert "no such attentions" in str(done.exception)


def test_the_command_line_tells_networks_of_sequences_from_others() -> None:
    for command, option in (("vit_vlad_edge", "--still-share"), ("hafnet_edge", "--early-share")):
        shown = CliRunner().invoke(train_app, [command, "--help"], env={"COLUMNS": "200"})
        assert option in shown.stdout, command


def test_the_command_measures_networks_of_sequences_beside_one_of_single_images(
    clips: Clips, tmp_path: Path
) -> None:
    run(tmp_path, clips, recipe("vit_vlad_tiny", epochs=1))
    checkpoint = tmp_path / "checkpoint.safetensors"
    command = ["evaluate", str(checkpoint), "--against", "default", "--count", "7", "--json"]
    done = CliRunner().invoke(
        sequences_app, [*command, "--clips", str(tmp_path / "clips")], catch_exceptions=False
    )
    found = json.loads(done.stdout)
    kinds = ["", "newest frame alone", "mean over the clip", "newest frame"]
    assert [row["name"].partition(", ")[2] for row in found] == kinds
    assert found[0]["name"] == "vit_vlad_tiny"
    assert all(0 <= row["macro_f1"] <= 1 for row in found)


def test_macro_f1_and_concordance_by_hand() -> None:
    found, true = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1])
    # Class 0: 1 hit of 2 found and 1 there; class 1: 1 of 1 and 3; class 2: none of 1 and 0.
    assert f1_scores(found, true, 3).tolist() == pytest.approx([2 / 3, 1 / 2, 0])
    # As in test_vit_vlad: means 2 and 3, variances 2/3 and 8/3, covariance 4/3.
    assert concordance(np.array([1.0, 2, 3]), np.array([1.0, 3, 5])) == pytest.approx(8 / 13)


def test_clips_of_unseen_people_are_made_for_calibration_and_never_over_another_file(
    clips: Clips, tmp_path: Path
) -> None:
    run(tmp_path, clips, recipe("vit_vlad_tiny", epochs=1))
    out = tmp_path / "for calibration.npz"
    command = ["clips", str(tmp_path / "checkpoint.safetensors"), "--out", str(out), "--count", "21"]
    done = CliRunner().invoke(sequences_app, command, catch_exceptions=False)
    assert "21 clips of" in done.stdout
    made = load_clips(out)
    assert np.bincount(made.shares[:, -1].argmax(axis=1), minlength=7).tolist() == [3] * 7
    again = CliRunner().invoke(sequences_app, command)
    assert isinstance(again.exception, ConfigurationError)
    assert CliRunner().invoke(sequences_app, [*command, "--force"]).exit_code == 0
