import numpy as np
import pytest
from export_parts import drawn_faces

from edge_runtime.faces.alignment import LOOSE_TEMPLATE
from edge_runtime.faces.labelled import FER_LABELS
from edge_runtime.features.landmark_distances import landmark_distances
from edge_runtime.features.landmark_table import SEGMENTS
from export.training.augmentation import Augmentation
from export.training.sequences.batches import AS_SEEN, SequenceBatches, TrainingClips, cut
from export.training.sequences.clips import Clips
from export.training.sequences.grown import grown_clips, stills
from export.training.sequences.recipe import SequenceRecipe
from export.training.sequences.sets import label_shares
from export.training.sequences.simulated import simulated_clips

P1 = ("crop", "landmark_distances", "lbp")
STILL = Augmentation(rotation_deg=0, scale=0, shift=0, flip=0, blur=0, erase=0)
MIRROR = Augmentation(rotation_deg=0, scale=0, shift=0, flip=1, blur=0, erase=0)
RECIPE = SequenceRecipe(epoch_steps=2, batch_size=10, still_batch=20, real_share=0.4)


@pytest.fixture(scope="module")
def clips() -> Clips:
    return simulated_clips(7, FER_LABELS, 4, 0.25, seed=3)


@pytest.fixture(scope="module")
def training(clips: Clips) -> TrainingClips:
    faces = drawn_faces(42, seed=1)
    shares = label_shares(faces, FER_LABELS, 0.0)
    grown = grown_clips(faces, shares, 7, FER_LABELS, 4, 0.25, seed=3)
    return TrainingClips(clips, grown, stills(faces, shares, FER_LABELS))


def test_a_batch_holds_all_frames_clip_by_clip(clips: Clips) -> None:
    batch = cut(clips, P1, LOOSE_TEMPLATE, AS_SEEN, np.random.default_rng(0))
    assert batch.inputs["crop"].shape == (28, 96, 96)
    assert batch.inputs["landmark_distances"].shape == (28, 38)
    assert batch.inputs["lbp"].shape == (28, 413)
    assert (batch.targets.labels.numpy() == clips.shares[:, -1]).all()
    assert (batch.targets.frame_labels.numpy() == clips.shares).all()
    assert (batch.targets.valence_arousal.numpy() == clips.valence_arousal[:, -1]).all()


def test_distances_are_off_by_what_a_landmark_network_is_off(clips: Clips) -> None:
    batch = cut(clips, P1, LOOSE_TEMPLATE, STILL, np.random.default_rng(0))
    true = landmark_distances(clips.landmarks_xy.reshape(-1, 70, 2))
    ratio = batch.inputs["landmark_distances"].numpy() / true
    assert 0.02 < np.median(np.abs(ratio - 1)) < 0.2


def test_a_mirrored_clip_has_mirrored_crops_and_distances(clips: Clips) -> None:
    seen, mirrored = (
        cut(clips, P1, LOOSE_TEMPLATE, how, np.random.default_rng(0)) for how in (STILL, MIRROR)
    )
    assert (mirrored.inputs["crop"].flip(2) == seen.inputs["crop"]).all()
    names = [segment.name for segment in SEGMENTS]
    swap = {"left": "right", "right": "left"}
    other = [names.index(" ".join(swap.get(word, word) for word in name.split())) for name in names]
    found = mirrored.inputs["landmark_distances"][:, other]
    # Noise is drawn for each landmark before the mirror, so both have the same.
    np.testing.assert_allclose(found, seen.inputs["landmark_distances"], rtol=1e-3)


def test_some_landmarks_are_withheld_in_training_alone(clips: Clips) -> None:
    recipe = SequenceRecipe(unknown_share=0.5)
    learned = cut(clips, P1, LOOSE_TEMPLATE, STILL, np.random.default_rng(1), recipe)
    seen = cut(clips, P1, LOOSE_TEMPLATE, STILL, np.random.default_rng(1))
    unknown = (learned.inputs["landmark_distances"] == 0).all(dim=1)
    assert 4 <= int(unknown.sum()) < 28
    assert (seen.inputs["landmark_distances"] > 0).all()


def test_clips_nobody_knows_the_landmarks_of_have_distances_of_zero(training: TrainingClips) -> None:
    assert training.grown is not None
    batch = cut(training.grown, P1, LOOSE_TEMPLATE, AS_SEEN, np.random.default_rng(0))
    assert (batch.inputs["landmark_distances"] == 0).all()


def test_all_frames_of_a_clip_are_disturbed_alike(clips: Clips) -> None:
    same = clips.rows(np.array([0]))
    frozen = Clips(*(np.repeat(getattr(same, name)[:, :1], 4, axis=1) for name in Clips.__slots__))
    turned = Augmentation(rotation_deg=30, scale=0, shift=0, flip=0, blur=0, erase=0)
    crops = cut(frozen, ("crop",), LOOSE_TEMPLATE, turned, np.random.default_rng(2)).inputs["crop"].float()
    straight = cut(frozen, ("crop",), LOOSE_TEMPLATE, STILL, np.random.default_rng(2)).inputs["crop"].float()
    among = (crops[1:] - crops[:1]).abs().mean()
    assert among < 0.5 * (crops - straight).abs().mean()


@pytest.mark.parametrize(
    ("still", "size", "frames"), [(True, 20, 1), (False, 10, 4)], ids=["stills", "clips"]
)
def test_an_epoch_mixes_simulated_and_real_ones(
    training: TrainingClips, still: bool, size: int, frames: int
) -> None:
    batches = list(SequenceBatches(RECIPE, training, P1).epoch(1, still=still))
    assert len(batches) == 2
    for batch in batches:
        assert batch.frames == frames
        assert batch.inputs["crop"].shape[0] == size * frames
        known = (batch.inputs["landmark_distances"] > 0).any(dim=1).reshape(size, frames).any(dim=1)
        assert not known[round(0.6 * size) :].any()  # the real ones come last
        assert batch.targets.labels.sum(dim=1).numpy() == pytest.approx(1, abs=1e-5)


def test_without_photographs_all_are_simulated(clips: Clips) -> None:
    batch = next(SequenceBatches(RECIPE, TrainingClips(clips), ("crop",)).epoch(1, still=True))
    assert batch.inputs["crop"].shape[0] == 20


def test_the_same_epoch_draws_the_same(training: TrainingClips) -> None:
    first, second = (next(SequenceBatches(RECIPE, training, P1).epoch(3, still=False)) for _ in range(2))
    assert all(bool((first.inputs[kind] == second.inputs[kind]).all()) for kind in P1)
