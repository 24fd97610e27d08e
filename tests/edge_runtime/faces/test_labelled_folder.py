from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.errors import ConfigurationError
from edge_runtime.faces.labelled import default_split, load_labelled


def write(folder: Path, name: str, values: range, shape: tuple[int, int] = (8, 8)) -> None:
    (folder / name).mkdir(parents=True)
    for value in values:
        cv2.imwrite(str(folder / name / f"{value}.png"), np.full(shape, value, np.uint8))


def test_a_folder_per_class_is_a_labelled_set(tmp_path: Path) -> None:
    write(tmp_path, "Happiness", range(1, 4))
    write(tmp_path, "sad", range(10, 12))
    faces = load_labelled(tmp_path, "all")
    assert faces.label_names == ("happy", "sad")
    assert faces.labels.tolist() == [0, 0, 0, 1, 1]
    assert faces.images[:, 0, 0].tolist() == [1, 2, 3, 10, 11]
    assert faces.votes is None
    assert default_split(tmp_path) == "all"


def test_split_folders_are_splits(tmp_path: Path) -> None:
    write(tmp_path / "train", "happy", range(1, 5))
    write(tmp_path / "val", "happy", range(4, 7))  # 4 is a training image again
    write(tmp_path / "test", "happy", range(7, 9))
    loaded = {split: load_labelled(tmp_path, split) for split in ("training", "public", "private")}
    assert [len(faces) for faces in loaded.values()] == [4, 2, 2]
    assert loaded["public"].left_out["pixel-identical to a training image"] == 1
    assert default_split(tmp_path) == "private"


def test_without_split_folders_every_image_has_one_split_and_always_the_same(tmp_path: Path) -> None:
    write(tmp_path, "happy", range(200))
    splits = {
        split: load_labelled(tmp_path, split).images[:, 0, 0] for split in ("training", "public", "private")
    }
    together = np.concatenate(list(splits.values()))
    assert sorted(together.tolist()) == list(range(200))
    assert 140 <= len(splits["training"]) <= 180
    np.testing.assert_array_equal(load_labelled(tmp_path, "public").images[:, 0, 0], splits["public"])


def test_images_of_all_sizes_become_squares_of_one(tmp_path: Path) -> None:
    write(tmp_path, "happy", range(50, 51), (300, 200))
    write(tmp_path, "sad", range(60, 61), (20, 40))
    faces = load_labelled(tmp_path, "all")
    assert faces.images.shape == (2, 128, 128)
    assert np.unique(faces.images[0]).tolist() == [50]


def test_files_that_are_no_images_are_counted_and_named(tmp_path: Path) -> None:
    write(tmp_path, "happy", range(3))
    (tmp_path / "happy" / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    (tmp_path / "happy" / "empty.png").write_bytes(b"")
    (tmp_path / "happy" / "notes.txt").write_text("not an image, and not said to be one")
    faces = load_labelled(tmp_path, "all")
    assert len(faces) == 3
    assert faces.unreadable == ("happy/cut.jpg", "happy/empty.png")
    assert faces.left_out["unreadable"] == 2


def test_empty_classes_are_all_named(tmp_path: Path) -> None:
    write(tmp_path, "happy", range(3))
    for name in ("fear", "sad"):
        (tmp_path / name).mkdir()
    (tmp_path / "sad" / "broken.png").write_bytes(b"no image")
    with pytest.raises(ConfigurationError, match="fear: holds no image") as found:
        load_labelled(tmp_path, "all")
    assert [fault.key for fault in found.value.faults] == ["fear", "sad"]
    assert "1 files could not be read" in found.value.hint


def test_a_folder_without_classes_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no class folders"):
        load_labelled(tmp_path, "all")
