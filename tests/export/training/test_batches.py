from dataclasses import replace

import numpy as np
import pytest
import torch
from export_parts import drawn_faces

from edge_runtime.faces.labelled import FER_LABELS, VOTE_COLUMNS
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


def test_votes_are_blended_into_the_target_for_the_classes_that_it_has(faces: TrainingFaces) -> None:
    # The first face is labelled angry; the raters say angry 2, sad 2, contempt 4, which FER2013 does not have.
    voted = with_votes(faces, {"angry": 2, "sad": 2, "contempt": 4})
    targets = Batches(Recipe(batch_size=8, label_smoothing=0, votes_blend=0.5), voted, FER_LABELS)._targets
    expected = np.zeros(7)
    expected[FER_LABELS.index("angry")], expected[FER_LABELS.index("sad")] = 0.75, 0.25
    np.testing.assert_allclose(targets[0], expected)
    np.testing.assert_allclose(targets[1], np.eye(7)[1])  # nobody voted: the label alone


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
