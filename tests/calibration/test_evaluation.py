from pathlib import Path

import cv2
import numpy as np
import pytest
from calibration_parts import PRIVATE, REPEATED, FacesFile, fit_matrix, pooled, write_linear_bundle

from calibration.evaluation import evaluate, prepare
from edge_runtime.bundle import Bundle, open_bundle
from edge_runtime.config import InferenceSection
from edge_runtime.errors import ConfigurationError
from edge_runtime.faces.labelled import FER_LABELS
from edge_runtime.inference.opening import Choice, open_engine


def test_crops_are_the_devices_and_repeated_images_are_left_out(
    bundle: Bundle, faces_file: FacesFile
) -> None:
    faces = prepare(faces_file.path, "private", bundle)
    np.testing.assert_array_equal(faces.crops, faces_file.crops(2)[:PRIVATE])
    assert faces.left_out == {"not a face": 0, "pixel-identical to a training image": REPEATED}
    assert faces.data == "drawn.npz, private split"


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_accuracy_is_what_the_matrix_gives_by_hand(
    bundle: Bundle, faces_file: FacesFile, backend: str
) -> None:
    weights, bias = fit_matrix(faces_file, 40.0)
    crops, labels = faces_file.crops(2)[:PRIVATE], faces_file.labels[faces_file.split == 2][:PRIVATE]
    right = (pooled(crops) @ weights + bias).argmax(axis=1) == labels
    choice = open_engine(bundle, InferenceSection(backend=backend))
    result = evaluate(bundle, choice, prepare(faces_file.path, "private", bundle))
    assert result.metrics.accuracy == right.mean()
    assert result.metrics.accuracy > 0.4  # far from chance, so that the figure says something
    assert result.engine.backend == backend


def test_faces_may_be_cut_by_their_landmarks_and_each_way_has_a_cache_of_its_own(
    bundle: Bundle, faces_file: FacesFile, tmp_path: Path
) -> None:
    haar, landmarks, again = (
        prepare(faces_file.path, "public", bundle, cache=tmp_path, pupils=way)
        for way in ("haar", "landmarks", "landmarks")
    )
    assert landmarks.pupils_found > haar.pupils_found
    assert not np.array_equal(landmarks.crops, haar.crops)
    np.testing.assert_array_equal(again.crops, landmarks.crops)
    assert sorted(file.name.partition("-")[0] for file in tmp_path.iterdir()) == ["landmarks", "pupils"]


def test_progress_ends_at_the_number_of_images(bundle: Bundle, choice: Choice, faces_file: FacesFile) -> None:
    seen: dict[str, tuple[int, int]] = {}

    def note(stage: str, done: int, total: int) -> None:
        seen[stage] = (done, total)

    evaluate(bundle, choice, prepare(faces_file.path, "public", bundle, on_progress=note), note)
    assert seen == {"pupils, public": (84, 84), "inference": (84, 84)}


def test_labels_are_matched_by_name_not_by_order(
    faces_file: FacesFile, bundle: Bundle, choice: Choice, tmp_path: Path
) -> None:
    write_linear_bundle(tmp_path / "turned", faces_file, order=FER_LABELS[::-1])
    turned = open_bundle(tmp_path / "turned")
    ours = evaluate(bundle, choice, prepare(faces_file.path, "public", bundle)).metrics
    theirs = evaluate(
        turned, open_engine(turned, InferenceSection()), prepare(faces_file.path, "public", turned)
    ).metrics
    assert theirs.accuracy == ours.accuracy
    np.testing.assert_array_equal(theirs.confusion[::-1, ::-1], ours.confusion)


def test_images_of_a_class_that_the_bundle_lacks_are_left_out_and_counted(
    faces_file: FacesFile, tmp_path: Path
) -> None:
    write_linear_bundle(tmp_path / "six", faces_file, order=FER_LABELS[:6])
    faces = prepare(faces_file.path, "public", open_bundle(tmp_path / "six"))
    assert faces.left_out["of a class that the bundle lacks: neutral"] == 12
    assert len(faces.crops) == 84 - 12
    assert set(faces.labels.tolist()) == set(range(6))


def test_a_folder_may_hold_some_of_the_classes_and_others(
    bundle: Bundle, choice: Choice, faces_file: FacesFile, tmp_path: Path
) -> None:
    for name, label in (("Happiness", 3), ("sad", 4), ("sleepy", 6)):
        (tmp_path / "set" / name).mkdir(parents=True)
        for index, image in enumerate(faces_file.images[faces_file.labels == label][:5]):
            cv2.imwrite(str(tmp_path / "set" / name / f"{index}.png"), image)
    (tmp_path / "set" / "sad" / "broken.jpg").write_bytes(b"no image")
    result = evaluate(bundle, choice, prepare(tmp_path / "set", "all", bundle))
    assert result.metrics.images == 10
    assert {row.name: row.images for row in result.metrics.classes if row.images} == {"happy": 5, "sad": 5}
    assert result.left_out["of a class that the bundle lacks: sleepy"] == 5
    assert result.unreadable == ("sad/broken.jpg",)


def test_a_set_without_any_class_of_the_bundle_is_named(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "set" / "sleepy").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "set" / "sleepy" / "1.png"), np.zeros((48, 48), np.uint8))
    with pytest.raises(ConfigurationError, match="holds no image of a class that linear has"):
        prepare(tmp_path / "set", "all", bundle)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99], ids=["empty", "cut early", "cut late"])
def test_a_truncated_file_is_named(
    share: float, faces_file: FacesFile, bundle: Bundle, tmp_path: Path
) -> None:
    data = faces_file.path.read_bytes()
    (tmp_path / "cut.npz").write_bytes(data[: int(share * len(data))])
    with pytest.raises(ConfigurationError, match=r"cut\.npz"):
        prepare(tmp_path / "cut.npz", "private", bundle)


def test_an_empty_split_is_named(faces_file: FacesFile, bundle: Bundle, tmp_path: Path) -> None:
    chosen = faces_file.split != 1
    arrays = {"images": faces_file.images, "labels": faces_file.labels, "split": faces_file.split}
    np.savez(tmp_path / "f.npz", **{name: values[chosen] for name, values in arrays.items()})
    with pytest.raises(ConfigurationError, match="the public split holds no image"):
        prepare(tmp_path / "f.npz", "public", bundle)
