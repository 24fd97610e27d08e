from pathlib import Path

import numpy as np
import pytest
import torch
from export_parts import drawn_faces

from edge_runtime.errors import RoomtoneError
from edge_runtime.faces.labelled import FER_LABELS
from export.checkpoints import CheckpointError, load_checkpoint, save_checkpoint
from export.training.sequences.sets import label_shares
from export.training.stargan import (
    Discriminator,
    Generator,
    StarGanConfig,
    discriminator_loss,
    generator_loss,
)
from export.training.stargan_trainer import (
    TEMPLATE,
    StarGanRecipe,
    StarGanTrainer,
    load_generator,
    sheet,
    to_faces,
    translated,
    translated_stills,
)

TINY = StarGanConfig(width=4, blocks=1)
RECIPE = StarGanRecipe(epochs=2, epoch_steps=3, batch_size=4, width=4, ema=0.5)


def trainer(folder: Path, recipe: StarGanRecipe = RECIPE) -> StarGanTrainer:
    faces = drawn_faces(21, seed=1)
    return StarGanTrainer(recipe, (faces, label_shares(faces, FER_LABELS, 0.0)), faces, folder, FER_LABELS)


def test_a_fresh_generator_leaves_the_face_mostly_as_it_is() -> None:
    torch.manual_seed(0)
    faces = torch.rand(3, 1, 48, 48) * 2 - 1
    with torch.no_grad():
        made, mask = Generator(TINY)(faces, torch.eye(7)[:3])
    assert made.shape == mask.shape == faces.shape
    assert made.abs().max() <= 1
    assert (made - faces).abs().mean() < 0.15


def test_the_mask_lays_the_picture_over_the_face() -> None:
    generator = Generator(TINY)
    faces = torch.rand(1, 1, 48, 48)
    with torch.no_grad():
        generator.last.weight.zero_()
        generator.last.bias.copy_(torch.tensor([0.5, 2.0]))  # type: ignore[union-attr]
        made, mask = generator(faces, torch.eye(7)[:1])
    # The mask's logit is 2 − 2 = 0: half the picture, which is tanh(0.5) everywhere, and half the face.
    torch.testing.assert_close(mask, torch.full_like(mask, 0.5))
    torch.testing.assert_close(made, faces / 2 + np.tanh(0.5) / 2)


class Judge(torch.nn.Module):
    """In a discriminator's place: faces are as real as they are bright."""

    def forward(self, faces: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return faces.mean(dim=(2, 3), keepdim=True), torch.zeros(len(faces), 7)


def test_the_discriminator_pays_for_doubt_and_for_wrong_classes() -> None:
    real, made = torch.full((2, 1, 48, 48), 0.25), torch.full((2, 1, 48, 48), -0.5)
    loss = discriminator_loss(Judge(), real, torch.eye(7)[:2], made, TINY)  # type: ignore[arg-type]
    assert loss.item() == pytest.approx(0.75 + 0.5 + np.log(7), abs=1e-5)


def test_the_generator_pays_for_class_looks_and_for_not_leading_back() -> None:
    class Brighter(torch.nn.Module):
        def forward(self, faces: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return faces + 0.1, torch.full_like(faces, 0.3)

    faces, shares = torch.zeros(2, 1, 48, 48), torch.eye(7)[:2]
    loss = generator_loss(Brighter(), Judge(), faces, shares, shares, TINY)  # type: ignore[arg-type]
    assert loss.item() == pytest.approx(np.log(7) - 0.1 + 10 * 0.2 + 0.5 * 0.3, abs=1e-5)


def test_each_half_of_a_step_trains_its_own_network(tmp_path: Path) -> None:
    made = trainer(tmp_path)
    networks = {"generator": made.network, "discriminator": made.discriminator}

    def weights() -> dict[str, torch.Tensor]:
        return {
            name: torch.cat([parameter.detach().flatten() for parameter in part.parameters()])
            for name, part in networks.items()
        }

    before = weights()
    loss = made._loss(next(made._epoch_batches(1)), np.random.default_rng(0))
    between = weights()
    made._optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    made._optimizer.step()
    after = weights()
    assert torch.equal(before["generator"], between["generator"])
    assert not torch.equal(before["discriminator"], between["discriminator"])
    assert not torch.equal(between["generator"], after["generator"])
    assert torch.equal(between["discriminator"], after["discriminator"])


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    def stop(row: object) -> None:
        raise KeyboardInterrupt

    trainer(tmp_path / "straight").run(lambda now: None, lambda row: None)
    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path / "stopped").run(lambda now: None, stop)
    trainer(tmp_path / "stopped").run(lambda now: None, lambda row: None)
    straight, stopped = (
        load_checkpoint(tmp_path / way / "state.safetensors") for way in ("straight", "stopped")
    )
    assert straight.facts == stopped.facts
    assert [n for n, t in straight.weights.items() if not torch.equal(t, stopped.weights[n])] == []


def test_made_faces_are_stills_with_their_pupils_and_what_was_asked_for(tmp_path: Path) -> None:
    checkpoint = trainer(tmp_path, StarGanRecipe(epochs=1, epoch_steps=1, batch_size=4, width=4)).run(
        lambda now: None, lambda row: None
    )
    faces = drawn_faces(7, seed=2)
    clips = translated_stills(checkpoint, faces, FER_LABELS, 9, seed=0)
    side = faces.images.shape[1]
    assert clips.images.shape == (9, 1, side, side)
    left, right = clips.pupils_xy[0, 0]
    assert left.tolist() == pytest.approx([side * 30 / 96, side * 31 / 96])
    assert right.tolist() == pytest.approx([side * 66 / 96, side * 31 / 96])
    assert (clips.shares.sum(axis=2) == 1).all()
    with pytest.raises(CheckpointError, match="knows angry"):
        translated_stills(checkpoint, faces, ("happy", "neutral"), 2, seed=0)


def test_the_picture_has_a_row_for_each_face_and_a_column_for_each_class() -> None:
    generator = Generator(TINY).eval()
    crops = np.random.default_rng(0).integers(0, 256, (3, 48, 48), np.uint8)
    picture = sheet(generator, crops, 7)
    assert picture.shape == (3 * 48, 8 * 48)
    assert (picture[48:96, :48] == crops[1]).all()
    asked = translated(generator, crops, np.full(3, 4), 7)
    assert (picture[96:144, 5 * 48 : 6 * 48] == asked[2]).all()


def test_crops_and_faces_are_the_same_thing() -> None:
    crops = np.array([[[0, 255]]], np.uint8)
    assert to_faces(crops).flatten().tolist() == [-1, 1]
    assert TEMPLATE.size_px == 48


def test_a_checkpoint_of_another_network_is_named(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, {"a": torch.zeros(1)}, {"recipe": {"architecture": "hafnet"}, "labels": ["happy"]})
    with pytest.raises(RoomtoneError, match="not of StarGAN"):
        load_generator(path)


def test_the_discriminator_reads_patches_and_classes() -> None:
    source, logits = Discriminator(TINY)(torch.zeros(2, 1, 48, 48))
    assert (tuple(source.shape), tuple(logits.shape)) == ((2, 1, 3, 3), (2, 7))
