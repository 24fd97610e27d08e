"""Marked faces: persons are split and not images, and what is no such set is said to be none."""

from __future__ import annotations

import numpy as np
import pytest
from marked_faces import FRAMES, PERSONS, write_marked

from edge_runtime.errors import ConfigurationError
from edge_runtime.faces.marked import box_of_marks, load_marked, split_of


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return write_marked(tmp_path_factory.mktemp("marked") / "faces.npz")


def test_each_person_is_in_one_split_with_all_frames(archive):
    people = {split: set(load_marked(archive, split).persons) for split in ("training", "choosing", "test")}
    assert sum(map(len, people.values())) == PERSONS
    assert not people["training"] & people["test"]
    assert all(len(load_marked(archive, split)) == FRAMES * len(names) for split, names in people.items())


def test_a_set_that_grows_keeps_its_split():
    few, many = (split_of(np.array([str(n) for n in range(count)])) for count in (50, 500))
    assert (few == many[:50]).all()
    shares = {split: float((many == split).mean()) for split in ("training", "choosing", "test")}
    assert shares == pytest.approx({"training": 0.7, "choosing": 0.1, "test": 0.2}, abs=0.05)


def test_boxes_are_the_detectors_and_lie_around_the_marks_where_it_finds_none(archive):
    faces = load_marked(archive)
    assert faces.boxes_found.mean() > 0.8
    side = faces.boxes_xyxy[:, 2] - faces.boxes_xyxy[:, 0]
    assert np.median(side) == pytest.approx(75, rel=0.15)
    np.testing.assert_array_equal(
        faces.boxes_xyxy[~faces.boxes_found], box_of_marks(faces.marks_xy[~faces.boxes_found])
    )


def test_the_width_is_that_of_the_film_that_the_face_was_cut_out_of(archive, tmp_path):
    with np.load(archive) as stored:
        arrays = dict(stored)
    np.savez(tmp_path / "far.npz", **arrays | {"half_px": np.full(len(arrays["images"]), 36.0)})
    near, far = load_marked(archive), load_marked(tmp_path / "far.npz")
    np.testing.assert_allclose(far.width_px, near.width_px / 2, rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"images": np.zeros((3, 4, 4), np.float32)}, "images", id="images that are no bytes"),
        pytest.param({"landmarks": np.zeros((150, 67, 2))}, "landmarks", id="67 points"),
        pytest.param({"landmarks": np.full((150, 68, 2), np.nan)}, "landmarks", id="points that are NaN"),
        pytest.param({"person": np.zeros(3, int)}, "person", id="not everybody has a name"),
    ],
)
def test_a_set_of_another_layout_is_refused_by_the_name_of_the_array(archive, tmp_path, change, said):
    with np.load(archive) as stored:
        np.savez(tmp_path / "bad.npz", **dict(stored) | change)
    with pytest.raises(ConfigurationError) as error:
        load_marked(tmp_path / "bad.npz")
    assert said in {fault.key for fault in error.value.faults}


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 no archive"], ids=["absent", "empty", "cut off"])
def test_a_file_that_is_no_archive_is_refused(tmp_path, content):
    file = tmp_path / "faces.npz"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError):
        load_marked(file)


def test_a_set_of_too_few_people_to_be_split_says_so(tmp_path):
    with pytest.raises(ConfigurationError, match="too few"):
        load_marked(write_marked(tmp_path / "one.npz", persons=1), "choosing")
