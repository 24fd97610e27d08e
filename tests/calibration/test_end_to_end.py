import json
from pathlib import Path

import numpy as np
import pytest
from calibration_parts import FacesFile
from typer.testing import CliRunner

from calibration.cli import evaluate_app
from calibration.end_to_end import end_to_end, matches, paste, pasted_pupils
from calibration.evaluation import prepare
from edge_runtime.bundle import Bundle, default_bundle_path, open_bundle
from edge_runtime.config import InferenceSection
from edge_runtime.errors import EngineError
from edge_runtime.inference.opening import Choice, open_engine


def test_faces_are_pasted_whole_and_apart(rng: np.random.Generator) -> None:
    images = np.arange(150, 156, dtype=np.uint8)[:, None, None] + np.zeros((6, 48, 48), np.uint8)
    picture, boxes = paste(images, rng)
    assert picture.shape == (480, 640, 3)
    for value, (left, top, right, bottom) in zip(range(150, 156), boxes.astype(int), strict=True):
        assert 60 <= right - left <= 120
        assert (picture[top:bottom, left:right] == value).all()


def test_pupils_are_pasted_with_their_faces(rng: np.random.Generator) -> None:
    images = np.zeros((6, 48, 48), np.uint8)
    images[:, 20:22, 12:14] = images[:, 20:22, 30:32] = (
        255  # two dots, their middles at (12.5, 20.5), (30.5, 20.5)
    )
    picture, boxes = paste(images, rng)
    pupils = pasted_pupils(
        np.tile(np.array([[[12.5, 20.5], [30.5, 20.5]]], np.float32), (6, 1, 1)), boxes, 48
    )
    for (left, top, right, bottom), pair in zip(boxes.astype(int), pupils, strict=True):
        for half, expected in enumerate(pair):
            middle = (left + right) // 2
            columns = slice(left, middle) if half == 0 else slice(middle, right)
            lit = np.argwhere(picture[top:bottom, columns, 0] > 127).mean(axis=0)
            np.testing.assert_allclose(lit[::-1] + np.array([columns.start, top]), expected, atol=0.6)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([[10, 10, 50, 50]], [0, None]),
        ([[10, 10, 30, 30], [0, 0, 60, 60], [100, 0, 160, 60]], [1, 2]),
        ([[300, 300, 340, 340]], [None, None]),
        (np.empty((0, 4)), [None, None]),
    ],
    ids=["one of two", "the larger of two", "elsewhere", "nothing"],
)
def test_a_pasted_face_is_the_largest_box_in_its_place(
    seen: list[list[float]], expected: list[int | None]
) -> None:
    pasted = np.array([[0, 0, 60, 60], [100, 0, 160, 60]], np.float32)
    assert matches(pasted, np.array(seen, np.float32)) == expected


def test_drawn_faces_are_found_and_read_as_directly(
    bundle: Bundle, choice: Choice, faces_file: FacesFile
) -> None:
    result = end_to_end(bundle, choice, prepare(faces_file.path, "public", bundle))
    assert result.faces == 84
    assert result.recall > 0.8
    assert result.direct.images == result.pasted.images == result.through.images == result.found
    assert abs(result.direct.accuracy - result.pasted.accuracy) < 0.15
    assert abs(result.points_lost) < 15  # 84 faces and a network of pooled pixels: only that it is no chance


def test_no_face_at_all_is_said(bundle: Bundle, choice: Choice, tmp_path: Path) -> None:
    blank = np.zeros((4, 48, 48), np.uint8)
    np.savez(tmp_path / "f.npz", images=blank, labels=np.zeros(4, int), split=np.full(4, 2))
    faces = prepare(tmp_path / "f.npz", "private", bundle)
    with pytest.raises(EngineError, match="not one of the pasted faces was found"):
        end_to_end(bundle, choice, faces)


def test_evaluate_prints_what_the_whole_path_costs(bundle: Bundle, faces_file: FacesFile) -> None:
    arguments = [str(bundle.folder), "--data", str(faces_file.path), "--split", "public", "--end-to-end"]
    for_people = CliRunner().invoke(evaluate_app, arguments, catch_exceptions=False)
    assert "pasted faces found" in for_people.stdout
    facts = json.loads(
        CliRunner().invoke(evaluate_app, [*arguments, "--json"], catch_exceptions=False).stdout
    )
    assert facts["end_to_end"]["faces"] == 84


@pytest.mark.realdata
def test_the_shipped_bundle_loses_little_on_the_way(shared_data: Path, tmp_path: Path) -> None:
    with np.load(shared_data / "faces" / "fer2013.npz") as stored:
        rows = np.flatnonzero((stored["split"] == 1) & (stored["exact"] != 0))[:120]
        arrays = {name: stored[name][rows] for name in ("images", "labels", "split")}
    np.savez(tmp_path / "some.npz", **arrays)
    bundle = open_bundle(default_bundle_path())
    result = end_to_end(
        bundle, open_engine(bundle, InferenceSection()), prepare(tmp_path / "some.npz", "public", bundle)
    )
    assert result.recall > 0.6
    assert result.points_lost < 6  # of about 250 faces; docs/models.md has the figure for all
