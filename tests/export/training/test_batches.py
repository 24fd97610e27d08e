from dataclasses import replace

import numpy as np
import pytest
import torch
from export_parts import drawn_faces

from edge_runtime.faces.labelled import FER_LABELS, FERPLUS_LABELS, VOTE_COLUMNS
from export.training.augmentation import Augmentation
from export.training.batches import Batches
from export.training.datasets import TrainingFaces
from export.training.recipe import Recipe

RECIPE = Recipe(batch_size=8, label_smoothing=0)


@pytest.fixture(scope="module")
def faces() -> TrainingFaces:
    return drawn_faces(35, seed=1)


def with_votes(faces: TrainingFaces, *votes: dict[str, int]) -> TrainingFaces:
    table = np.zeros((len(faces.labels), len(VOTE_COLUMNS)), np.uint8)
    for row, counts in zip(table, votes, strict=False):
        for name, count in counts.items():
            row[VOTE_COLUMNS.index(name)] = count
    return TrainingFaces(faces.images, faces.labels, faces.located, table)


def test_an_epoch_shows_each_image_once_and_cuts_at_the_size_that_is_asked_for(faces: TrainingFaces) -> None:
    shown = list(Batches(RECIPE, faces, FER_LABELS).epoch(1, 48))
    assert [batch.crops.shape for batch in shown] == [(8, 48, 48)] * 4
    counts = sum(batch.targets.sum(dim=0) for batch in shown)
    assert counts.sum() == 32
    assert counts.max() <= 5


def test_epochs_differ_and_can_be_had_again(faces: TrainingFaces) -> None:
    first, again, second = (
        next(iter(Batches(RECIPE, faces, FER_LABELS).epoch(epoch, 48))).crops for epoch in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_votes_are_blended_into_the_target(faces: TrainingFaces) -> None:
    # Labels that are the majority of their votes: angry 2, sad 2, and one rater who cannot tell; none on the second.
    voted = with_votes(faces, {"angry": 2, "sad": 2, "unknown": 1})
    recipe = Recipe(batch_size=8, labels="ferplus", label_smoothing=0, votes_blend=0.5)
    targets = Batches(recipe, voted, FERPLUS_LABELS)._targets
    expected = np.zeros(8)  # the first face has label 0, neutral here
    expected[0], expected[FERPLUS_LABELS.index("angry")], expected[FERPLUS_LABELS.index("sad")] = (
        0.5,
        0.25,
        0.25,
    )
    np.testing.assert_allclose(targets[0], expected)
    np.testing.assert_allclose(targets[1], np.eye(8)[1])


def test_half_of_the_crops_are_cut_by_the_other_finders_pupils(faces: TrainingFaces) -> None:
    # The other finder stands every head upside down: the mean picture of a batch shows which were cut by it.
    plain = Recipe(
        batch_size=32, augmentation=Augmentation(rotation_deg=0, scale=0, shift=0, flip=0, blur=0, erase=0)
    )
    either = Batches(plain, replace(faces, also_xy=faces.pupils_xy[:, ::-1].copy()), FER_LABELS)
    crops = next(either.epoch(1, 48)).crops.numpy().astype(int)
    upright = next(Batches(plain, faces, FER_LABELS).epoch(1, 48)).crops.numpy().astype(int)
    rotated = [
        (np.abs(crop - turned[::-1, ::-1])).mean() for crop, turned in zip(crops, upright, strict=True)
    ]
    share = np.mean([np.abs(a - b).mean() > r for a, b, r in zip(crops, upright, rotated, strict=True)])
    assert 0.2 < share < 0.8


def test_smoothing_gives_every_class_its_share(faces: TrainingFaces) -> None:
    targets = Batches(Recipe(batch_size=8, label_smoothing=0.07), faces, FER_LABELS)._targets
    np.testing.assert_allclose(targets[0], [0.94] + [0.01] * 6, atol=1e-6)


def test_a_teachers_probabilities_take_their_share_of_the_target(faces: TrainingFaces) -> None:
    # By hand: 0.4 of a smoothed label (0.93 + 0.01, 0.01 …) and 0.6 of what the teacher says.
    says = np.tile(np.array([0.5, 0.5, 0, 0, 0, 0, 0], np.float32), (len(faces.labels), 1))
    recipe = Recipe(batch_size=8, label_smoothing=0.07, teacher="it", teacher_weight=0.6)
    targets = Batches(recipe, replace(faces, taught=says), FER_LABELS)._targets
    expected = [0.4 * 0.94 + 0.3, 0.4 * 0.01 + 0.3, *[0.4 * 0.01] * 5]
    np.testing.assert_allclose(targets[0], expected, atol=1e-6)
    np.testing.assert_allclose(Batches(recipe, faces, FER_LABELS)._targets[0], [0.94] + [0.01] * 6, atol=1e-6)


def test_balanced_draws_show_a_rare_class_as_often_as_a_common_one(faces: TrainingFaces) -> None:
    rare = np.array([0] * 30 + [1] * 5)
    uneven = TrainingFaces(faces.images, rare, faces.located)

    def share(balance: float) -> float:
        batches = Batches(Recipe(batch_size=7, class_balance=balance), uneven, FER_LABELS)
        drawn = [batches._draw(np.random.default_rng(seed)) for seed in range(40)]
        return float(np.mean(rare[np.concatenate(drawn)]))

    assert share(0) == pytest.approx(5 / 35)
    assert share(1) == pytest.approx(0.5, abs=0.05)
    # b = ½: 5^½ images of one class against 30^½ of the other
    assert share(0.5) == pytest.approx(5**0.5 / (5**0.5 + 30**0.5), abs=0.05)
