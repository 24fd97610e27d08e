import numpy as np
import pytest
from numpy.testing import assert_allclose

from edge_runtime.features.sift import sift


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 12, 12), np.uint8).repeat(8, 1).repeat(8, 2)


def test_a_crop_has_sixteen_descriptors_and_no_crop_has_none(crops: np.ndarray) -> None:
    assert sift(crops).shape == (3, 16 * 128)
    assert sift(crops[:0]).shape == (0, 16 * 128)


def test_a_crop_does_not_depend_on_its_neighbours(crops: np.ndarray) -> None:
    assert_allclose(sift(crops)[1], sift(crops[1:2])[0])


def test_descriptors_go_row_by_row_and_see_their_surroundings_only(crops: np.ndarray) -> None:
    changed = crops[:1].copy()
    changed[:, :16, :16] = 0  # the corner of the first point
    differs = (sift(changed) != sift(crops[:1])).reshape(16, 128).any(axis=1)
    assert differs[0]
    assert not differs[[3, 12, 15]].any()  # the other corners


def test_descriptors_are_normalised_as_lowe_does(crops: np.ndarray) -> None:
    lengths = np.linalg.norm(sift(crops).reshape(-1, 128), axis=1)
    assert_allclose(lengths, 512, rtol=0.02)  # unit length times OpenCV's 512


def test_an_even_crop_gives_finite_numbers() -> None:
    assert np.isfinite(sift(np.full((1, 96, 96), 77, np.uint8))).all()


def test_crops_of_another_size_are_brought_to_the_grids(crops: np.ndarray) -> None:
    assert sift(crops[:, ::2, ::2].copy()).shape == (3, 16 * 128)
