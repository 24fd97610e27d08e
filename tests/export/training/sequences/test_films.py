import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from edge_runtime.errors import RoomtoneError
from edge_runtime.faces.labelled import FER_LABELS
from edge_runtime.features.landmark_table import SEGMENTS
from edge_runtime.frames.simulation.appearance import Pose
from edge_runtime.frames.simulation.controls import expression
from edge_runtime.frames.simulation.face import render_face
from export.architectures import SEQUENCE_ARCHITECTURES
from export.architectures.attention_fusion import AttentionFusionConfig
from export.checkpoints import save_checkpoint
from export.sequence_cli import sequences_app
from export.training.sequences.checkpoints import load_trained
from export.training.sequences.films import Course, FilmFaces, film_faces, sequence_course
from export.training.sequences.recipe import SequenceRecipe

FPS, SECONDS = 12, 3.0
TINY = "attention_fusion_film"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One face, neutral, then happy."""
    path = tmp_path_factory.mktemp("film") / "smile.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (240, 240))
    for at in range(round(FPS * SECONDS)):
        face = render_face(expression("happy", min(1.0, at / 18)), Pose(yaw_deg=at / 9), size_px=240)
        writer.write(face.image_bgr)
    writer.release()
    return path


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def build(num_classes: int) -> AttentionFusionConfig:
        return AttentionFusionConfig(
            num_classes, frames=4, convolutions=(8, 8, 8, 8, 8), embedding=16, hidden=8, merged=8
        )

    monkeypatch.setitem(SEQUENCE_ARCHITECTURES, TINY, build)
    torch.manual_seed(0)
    path = tmp_path / "checkpoint.safetensors"
    facts = {"recipe": SequenceRecipe(TINY).to_json(), "labels": list(FER_LABELS)}
    save_checkpoint(path, dict(build(7).network().state_dict()), facts)
    return path


def test_a_face_is_cut_each_stride_and_read_when_the_buffer_is_full(film: Path, checkpoint: Path) -> None:
    trained = load_trained(checkpoint)
    faces = film_faces(film, trained)
    assert np.diff(faces.times_s) == pytest.approx(0.25, abs=1.5 / FPS)
    assert faces.crops.shape == (len(faces), 96, 96)
    assert len(set(faces.tracks.tolist())) == 1
    course = sequence_course(trained, faces)
    assert (course.times_s == faces.times_s[3:]).all()
    assert course.shares.sum(axis=1) == pytest.approx(1, abs=1e-4)


def test_landmarks_are_found_in_a_film_and_the_network_is_fed_with_them(film: Path, checkpoint: Path) -> None:
    trained = load_trained(checkpoint)
    faces = film_faces(film, trained)
    width = [segment.name for segment in SEGMENTS].index("mouth wide")
    assert faces.landmark_distances.min() > 0  # nothing is unknown
    assert faces.landmark_distances[-1, width] > faces.landmark_distances[0, width]
    unknown = replace(faces, landmark_distances=np.zeros_like(faces.landmark_distances))
    assert (
        np.abs(sequence_course(trained, faces).shares - sequence_course(trained, unknown).shares).max() > 1e-4
    )


def faces_of(crops: np.ndarray, times_s: np.ndarray, tracks: np.ndarray) -> FilmFaces:
    return FilmFaces(times_s, crops, tracks, np.zeros((len(crops), len(SEGMENTS)), np.float32))


def test_another_person_begins_with_an_empty_buffer(checkpoint: Path) -> None:
    trained = load_trained(checkpoint)
    crops = np.random.default_rng(0).integers(0, 256, (9, 96, 96), np.uint8)
    times = 0.25 * np.arange(9)
    course = sequence_course(trained, faces_of(crops, times, np.array([1] * 5 + [2] * 4)))
    assert course.times_s.tolist() == times[[3, 4, 8]].tolist()
    alone = sequence_course(trained, faces_of(crops[5:], times[5:], np.array([2] * 4)))
    np.testing.assert_allclose(course.shares[-1], alone.shares[0], atol=1e-5)
    with pytest.raises(RoomtoneError, match="long enough"):
        sequence_course(trained, faces_of(crops, times, np.arange(9)))


def test_a_buffer_may_be_filled_by_its_oldest_frame(checkpoint: Path) -> None:
    trained = load_trained(checkpoint)
    crops = np.random.default_rng(0).integers(0, 256, (5, 96, 96), np.uint8)
    times, tracks = np.arange(5.0), np.zeros(5, np.int64)
    filled = sequence_course(trained, faces_of(crops, times, tracks), fills=True)
    usual = sequence_course(trained, faces_of(crops, times, tracks))
    assert filled.times_s.tolist() == times.tolist()
    np.testing.assert_allclose(filled.shares[3:], usual.shares, atol=1e-5)
    repeated = sequence_course(trained, faces_of(crops[[0, 0, 0, 1]], times[:4], tracks[:4]))
    np.testing.assert_allclose(filled.shares[1], repeated.shares[0], atol=1e-5)


def test_spells_are_what_lasts() -> None:
    labels = [6, 6, 6, 3, 6, 6, 6, 3, 3, 3, 3]  # one happy reading is no change
    course = Course("", np.arange(11.0), np.eye(7, dtype=np.float32)[labels], np.zeros((11, 2), np.float32))
    assert course.spells(FER_LABELS) == [(0.0, "neutral"), (7.0, "happy")]


def test_the_command_tells_and_draws_it(film: Path, checkpoint: Path, tmp_path: Path) -> None:
    plot = tmp_path / "plots" / "smile.png"
    command = ["film", str(checkpoint), "--film", str(film), "--plot", str(plot), "--json"]
    done = CliRunner().invoke(sequences_app, command, catch_exceptions=False)
    assert json.loads(done.stdout)[0]["network"] == TINY
    assert cv2.imread(str(plot)) is not None
    told = CliRunner().invoke(sequences_app, command[:4], catch_exceptions=False)
    assert "valence" in told.stdout


def test_a_film_without_a_face_is_named(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "wall.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (160, 120))
    for _ in range(6):
        writer.write(np.full((120, 160, 3), 128, np.uint8))
    writer.release()
    with pytest.raises(RoomtoneError, match=r"wall\.avi: no readable face"):
        film_faces(path, load_trained(checkpoint))
