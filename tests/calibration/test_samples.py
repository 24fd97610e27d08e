from pathlib import Path

import numpy as np
import pytest
from calibration_parts import FacesFile

from calibration.samples import CalibrationSet, choose_samples, k_centre, load_samples, save_samples
from edge_runtime.bundle import Bundle
from edge_runtime.errors import ConfigurationError


@pytest.fixture(scope="module")
def chosen(bundle: Bundle, faces_file: FacesFile) -> CalibrationSet:
    return choose_samples(faces_file.path, bundle, per_class=5)


def test_classes_are_balanced_and_crops_are_the_devices_own(
    chosen: CalibrationSet, faces_file: FacesFile
) -> None:
    assert np.bincount(chosen.labels, minlength=7).max() == 5
    possible = {crop.tobytes() for crop in faces_file.crops(0)}
    assert all(crop.tobytes() in possible for crop in chosen.crops)


def test_the_same_seed_chooses_the_same_and_another_does_not(
    chosen: CalibrationSet, bundle: Bundle, faces_file: FacesFile
) -> None:
    assert choose_samples(faces_file.path, bundle, per_class=5).digest == chosen.digest
    other = choose_samples(faces_file.path, bundle, per_class=2, seed=1)
    assert other.digest != choose_samples(faces_file.path, bundle, per_class=2).digest


def test_near_duplicates_and_faces_without_pupils_are_left_out(
    bundle: Bundle, faces_file: FacesFile, tmp_path: Path
) -> None:
    images, labels = faces_file.images[:21].copy(), faces_file.labels[:21]
    images[14:] = np.minimum(images[7:14].astype(int) + 1, 255)  # a grey level brighter
    images[0] = 128
    path = tmp_path / "twins.npz"
    np.savez(path, images=images, labels=labels, split=np.zeros(21, np.int64))
    found = choose_samples(path, bundle)
    assert found.facts.left_out["nearly the same as another"] >= 3
    assert found.facts.left_out["pupils not found"] >= 1


def test_k_centre_takes_the_far_ends_before_the_crowd() -> None:
    features = np.array([[0], [0.1], [0.2], [5], [-5], [0.3]], np.float32)
    assert set(k_centre(features, 3).tolist()) >= {3, 4}
    assert sorted(k_centre(features, 9).tolist()) == [0, 1, 2, 3, 4, 5]
    assert len(k_centre(features[:0], 3)) == 0


def test_twins_are_chosen_once_each() -> None:
    assert sorted(k_centre(np.zeros((4, 2), np.float32), 4).tolist()) == [0, 1, 2, 3]


def test_a_set_comes_back_from_its_file(chosen: CalibrationSet, bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "faces.npz"
    save_samples(chosen, path)
    again = load_samples(path, bundle)
    assert again.digest == chosen.digest
    assert again.facts == chosen.facts
    assert [entry.name for entry in tmp_path.iterdir()] == ["faces.npz"]


def test_images_of_one_class_only_are_refused(bundle: Bundle, faces_file: FacesFile, tmp_path: Path) -> None:
    path = tmp_path / "happy.npz"
    happy = faces_file.labels == 3
    np.savez(
        path, images=faces_file.images[happy], labels=faces_file.labels[happy], split=faces_file.split[happy]
    )
    with pytest.raises(ConfigurationError, match="images of happy only"):
        choose_samples(path, bundle)


def test_a_truncated_set_is_refused(chosen: CalibrationSet, bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "faces.npz"
    save_samples(chosen, path)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(ConfigurationError, match="no calibration set that can be read"):
        load_samples(path, bundle)


def test_a_set_of_another_template_or_other_content_is_refused(
    chosen: CalibrationSet, bundle: Bundle, tmp_path: Path
) -> None:
    path = tmp_path / "faces.npz"
    save_samples(chosen, path)
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["crops"] = arrays["crops"][:, :64, :64]
    np.savez(path, **arrays)
    with pytest.raises(ConfigurationError, match=r"digest(.|\n)*wants 96×96"):
        load_samples(path, bundle)


def test_a_set_that_is_missing_is_named(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such file"):
        load_samples(tmp_path / "none.npz", bundle)
