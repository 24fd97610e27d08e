import numpy as np
import pytest
from export_parts import drawn_faces

from edge_runtime.faces.alignment import LOOSE_TEMPLATE, align
from edge_runtime.faces.precut import align_precut
from export.training.augmentation import Augmentation
from export.training.datasets import TrainingFaces

NOTHING = Augmentation(rotation_deg=0, scale=0, shift=0, flip=0, blur=0, erase=0)


@pytest.fixture(scope="module")
def faces() -> TrainingFaces:
    return drawn_faces(14, seed=4)


def cut(augmentation: Augmentation, faces: TrainingFaces, seed: int = 0) -> np.ndarray:
    return augmentation.crops(faces.images, faces.pupils_xy, LOOSE_TEMPLATE, np.random.default_rng(seed))


def test_switched_off_it_is_the_devices_own_alignment(faces: TrainingFaces) -> None:
    plain = align_precut(faces.images, faces.located, LOOSE_TEMPLATE)
    off_by = np.abs(cut(NOTHING, faces).astype(int) - plain)
    assert np.percentile(off_by, 99) <= 4  # pupils go through float arithmetic on the way


def test_the_same_seed_gives_the_same_crops(faces: TrainingFaces) -> None:
    np.testing.assert_array_equal(cut(Augmentation(), faces, 5), cut(Augmentation(), faces, 5))
    assert (cut(Augmentation(), faces, 5) != cut(Augmentation(), faces, 6)).any()


def test_a_certain_flip_is_the_mirror_image(faces: TrainingFaces) -> None:
    flipped = cut(Augmentation(0, 0, 0, flip=1, blur=0, erase=0), faces)
    np.testing.assert_array_equal(flipped[:, :, ::-1], cut(NOTHING, faces))


def test_an_erased_rectangle_covers_its_share_and_nothing_else(faces: TrainingFaces) -> None:
    changed = cut(Augmentation(0, 0, 0, flip=0, blur=0, erase=1), faces) != cut(NOTHING, faces)
    for crop in changed:
        rows, columns = np.flatnonzero(crop.any(axis=1)), np.flatnonzero(crop.any(axis=0))
        box = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        assert 0.015 <= box / crop.size <= 0.16
        assert crop.sum() > 0.9 * box


@pytest.mark.parametrize(
    ("augmentation", "least", "most"),
    [
        (Augmentation(rotation_deg=20, scale=0, shift=0), (0.999, 0.0), (1.001, 20.0)),
        (Augmentation(rotation_deg=0, scale=0.2, shift=0), (np.exp(-0.2), 0.0), (np.exp(0.2), 0.01)),
    ],
    ids=["rotation", "scale"],
)
def test_pupils_are_disturbed_within_their_limits(
    augmentation: Augmentation, least: tuple[float, float], most: tuple[float, float]
) -> None:
    pupils = np.tile(np.array([[10.0, 20.0], [30.0, 20.0]], np.float32), (500, 1, 1))
    moved = augmentation.disturbed(pupils, np.random.default_rng(0))
    arm = moved[:, 1] - moved[:, 0]
    ratio, angle = np.hypot(*arm.T) / 20, np.abs(np.degrees(np.arctan2(arm[:, 1], arm[:, 0])))
    assert ratio.min() >= least[0] - 1e-4
    assert ratio.max() <= most[0] + 1e-4
    assert angle.max() <= most[1] + 1e-3
    np.testing.assert_allclose(moved.mean(axis=1), pupils.mean(axis=1), atol=1e-4)


def test_the_middle_moves_by_a_share_of_the_pupil_distance() -> None:
    pupils = np.tile(np.array([[10.0, 20.0], [30.0, 20.0]], np.float32), (500, 1, 1))
    moved = Augmentation(rotation_deg=0, scale=0, shift=0.1).disturbed(pupils, np.random.default_rng(0))
    off = np.abs(moved.mean(axis=1) - [20, 20])
    assert 1.8 < off.max() <= 2.0 + 1e-4


def test_no_images_give_no_crops() -> None:
    none = Augmentation().crops(
        np.empty((0, 48, 48), np.uint8),
        np.empty((0, 2, 2), np.float32),
        LOOSE_TEMPLATE,
        np.random.default_rng(0),
    )
    assert none.shape == (0, 96, 96)


def test_a_blurred_crop_has_less_detail(faces: TrainingFaces) -> None:
    def detail(crops: np.ndarray) -> float:
        return float(np.abs(np.diff(crops.astype(int), axis=2)).mean())

    assert detail(cut(Augmentation(0, 0, 0, flip=0, blur=1, erase=0), faces)) < detail(cut(NOTHING, faces))
    assert align(faces.images[0], faces.pupils_xy[:1], LOOSE_TEMPLATE).shape == (1, 96, 96)
