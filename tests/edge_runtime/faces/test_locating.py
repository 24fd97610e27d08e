from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.faces import locating
from edge_runtime.faces.locating import locate_all
from edge_runtime.faces.precut import LocatedFaces, PrecutLocator
from edge_runtime.frames.simulation.appearance import random_appearance
from edge_runtime.frames.simulation.controls import Controls
from edge_runtime.frames.simulation.face import render_face


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    rng = np.random.default_rng(5)
    faces = [render_face(Controls(), None, random_appearance(rng), 64, noise=2, rng=rng) for _ in range(150)]
    return np.stack([cv2.cvtColor(face.image_bgr, cv2.COLOR_BGR2GRAY) for face in faces])


def assert_same(one: LocatedFaces, other: LocatedFaces) -> None:
    np.testing.assert_array_equal(one.pupils_xy, other.pupils_xy)
    np.testing.assert_array_equal(one.face_found, other.face_found)
    np.testing.assert_array_equal(one.pupils_found, other.pupils_found)


def test_many_processes_find_what_one_finds_in_the_same_order(pictures: np.ndarray) -> None:
    seen: list[tuple[int, int]] = []
    located = locate_all(pictures, on_progress=lambda done, total: seen.append((done, total)))
    assert_same(located, PrecutLocator()(pictures))
    assert seen == [(128, 150), (150, 150)]


def test_no_images_are_no_faces() -> None:
    assert locate_all(np.empty((0, 48, 48), np.uint8)).pupils_xy.shape == (0, 2, 2)


def test_the_cache_is_read_the_second_time(
    pictures: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = locate_all(pictures[:3], cache=tmp_path / "new" / "folder")
    monkeypatch.setattr(locating, "PrecutLocator", _must_not_be_called)
    assert_same(locate_all(pictures[:3], cache=tmp_path / "new" / "folder"), first)


def test_other_images_do_not_get_the_cached_pupils(pictures: np.ndarray, tmp_path: Path) -> None:
    locate_all(pictures[:3], cache=tmp_path)
    assert_same(locate_all(pictures[3:6], cache=tmp_path), PrecutLocator()(pictures[3:6]))
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("left", [0, 100], ids=["empty", "cut"])
def test_a_damaged_cache_is_made_again(left: int, pictures: np.ndarray, tmp_path: Path) -> None:
    first = locate_all(pictures[:3], cache=tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:left])
    assert_same(locate_all(pictures[:3], cache=tmp_path), first)
    assert_same(locate_all(pictures[:3], cache=tmp_path), first)


def _must_not_be_called() -> None:
    raise AssertionError("looked for pupils again")
