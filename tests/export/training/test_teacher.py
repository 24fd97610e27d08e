from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from export_parts import TINY, drawn_faces

from edge_runtime.bundle import open_bundle
from edge_runtime.errors import ConfigurationError
from edge_runtime.faces.labelled import FER_LABELS, FERPLUS_LABELS
from edge_runtime.faces.precut import align_precut
from export.pipeline import export_bundle
from export.trained import ExportRequest
from export.training.datasets import TrainingFaces
from export.training.teacher import taught_by


@pytest.fixture(scope="module")
def bundle(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("teachers") / "tiny"
    export_bundle(ExportRequest(TINY, checkpoint, out, name="tiny"))
    return out


@pytest.fixture(scope="module")
def faces() -> TrainingFaces:
    return drawn_faces(70, seed=6)  # more than one batch


def softmax_of_file(bundle: Path, crops: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(bundle / "model.fp32.onnx")
    logits = session.run(["logits"], {"crop": crops})[0].astype(np.float64)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_a_teacher_sees_each_face_and_its_mirror_image(bundle: Path, faces: TrainingFaces) -> None:
    seen: list[tuple[int, int]] = []
    told, name = taught_by(bundle, faces, FER_LABELS, lambda *count: seen.append(count))
    crops = align_precut(faces.images, faces.located, open_bundle(bundle).manifest.alignment.template())
    mirrored = np.ascontiguousarray(crops[:, :, ::-1])
    expected = (softmax_of_file(bundle, crops) + softmax_of_file(bundle, mirrored)) / 2
    assert told.taught is not None
    np.testing.assert_allclose(told.taught, expected, atol=1e-4)
    assert seen == [(64, 70), (70, 70)]
    assert name == f"tiny 0.1.0 {open_bundle(bundle).digest[:16]}"


def test_a_teacher_answers_in_the_order_of_the_student(bundle: Path, faces: TrainingFaces) -> None:
    few = replace(
        faces, images=faces.images[:3], labels=faces.labels[:3], located=faces.located.rows(slice(3))
    )
    first, second = (taught_by(bundle, few, names)[0].taught for names in (FER_LABELS, FER_LABELS[::-1]))
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first, second[:, ::-1])


def test_a_teacher_of_other_classes_is_refused(bundle: Path, faces: TrainingFaces) -> None:
    with pytest.raises(ConfigurationError, match=r"--teacher: tiny knows .*; the data has .*contempt"):
        taught_by(bundle, faces, FERPLUS_LABELS)


def test_a_teacher_sees_faces_as_it_learned_them_and_not_as_its_student_does(
    bundle: Path, faces: TrainingFaces
) -> None:
    # The student's pupils stand every face on its head; the teacher's are its own.
    overturned = replace(faces, located=replace(faces.located, pupils_xy=faces.pupils_xy[:, ::-1].copy()))
    first, second = (taught_by(bundle, shown, FER_LABELS)[0].taught for shown in (faces, overturned))
    np.testing.assert_array_equal(first, second)
