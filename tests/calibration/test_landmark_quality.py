"""Landmarks measured: errors by hand, intervals over persons, and the network that ships on people it never saw."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from marked_faces import write_marked
from typer.testing import CliRunner

from calibration.landmark_quality import evaluate_landmarks, is_frontal, over_persons, pupil_errors
from calibration.landmarks import MAX_ADDED, added_error, calibrate_landmarks
from edge_runtime.bundle import Variant
from edge_runtime.cli import app
from edge_runtime.errors import BundleError
from edge_runtime.faces.alignment import default_pupils
from edge_runtime.faces.landmark_pupils import LandmarkPupils
from edge_runtime.faces.marked import load_marked
from edge_runtime.faces.pose import head_poses
from edge_runtime.frames.simulation.appearance import Appearance, Pose, random_appearance
from edge_runtime.frames.simulation.controls import expression
from edge_runtime.frames.simulation.face import render_face
from edge_runtime.inference.landmark_engine import load_regressor, open_landmark_finder, open_regressor
from edge_runtime.landmark_bundle import open_landmarks, packaged_landmarks_path


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return write_marked(tmp_path_factory.mktemp("marked") / "faces.npz")


@pytest.fixture(scope="module")
def finder():
    return open_landmark_finder(packaged_landmarks_path())


def eyes_at(left, right):
    """68 marks of which only the twelve of the eyes are set."""
    marks = np.zeros((1, 68, 2), np.float32)
    marks[0, 36:42], marks[0, 42:48] = left, right
    return marks


def test_pupils_are_judged_by_the_distance_of_the_eyes():
    marks = eyes_at((100, 50), (180, 50))
    found = np.array([[[100, 54], [172, 50]]], np.float32)
    assert pupil_errors(found, marks)[0].tolist() == pytest.approx([4 / 80, 8 / 80])


def test_persons_are_drawn_and_not_frames():
    errors = np.array([0.1] * 90 + [0.2] * 10, np.float32)
    alike = over_persons(errors, np.array(["one"] * 90 + ["other"] * 10))
    apart = over_persons(errors, np.array([str(n) for n in range(100)]))
    assert alike.mean == apart.mean == pytest.approx(0.11)
    assert alike.high - alike.low > 2 * (apart.high - apart.low)


def test_the_error_that_int8_adds_is_bounded_from_above_and_faces_given_up_are_left_out():
    rng = np.random.default_rng(0)
    before = rng.uniform(0.03, 0.09, 200).astype(np.float32)
    persons = np.repeat([str(n) for n in range(40)], 5)
    after = before + rng.normal(0.001, 0.002, 200).astype(np.float32)
    after[3] = np.nan
    added, upper = added_error(before, after, persons)
    assert 0.0005 < added < upper < MAX_ADDED
    assert added_error(before, before + 0.003, persons)[1] == pytest.approx(0.003, rel=1e-3)


def test_only_large_faces_that_look_ahead_are_judged_by_their_pupils(archive):
    faces = load_marked(archive)
    yaw = head_poses(faces.marks_xy).yaw_deg
    assert (is_frontal(faces) == ((np.abs(yaw) < 25) & (faces.width_px >= 60))).all()
    assert 0 < is_frontal(faces).sum() < len(faces) or np.abs(yaw).max() < 25


@pytest.mark.parametrize(("yaw", "roll"), [(0, 0), (20, 0), (-20, 0), (0, 15), (10, -15)])
def test_the_network_that_ships_marks_drawn_faces_and_finds_their_pose(finder, yaw, roll):
    face = render_face(expression("happy"), Pose(yaw, 0, roll), Appearance(), 200)
    grey = cv2.cvtColor(face.image_bgr, cv2.COLOR_BGR2GRAY)
    found = finder.find(grey, face.truth.box_xyxy[None])
    truth = face.truth.landmarks_xy
    far = np.linalg.norm(found.points_xy[0, :68] - truth, axis=1) / np.linalg.norm(truth[45] - truth[36])
    assert far.mean() < 0.08
    pose = head_poses(found.points_xy)
    assert pose.yaw_deg[0] == pytest.approx(yaw, abs=12)
    assert pose.roll_deg[0] == pytest.approx(roll, abs=6)


def test_a_second_look_mends_what_a_box_that_sits_badly_spoils():
    rng, errors = np.random.default_rng(4), {False: [], True: []}
    for number in range(6):
        pose = Pose(roll_deg=float(rng.uniform(-20, 20)))
        face = render_face(expression("neutral"), pose, random_appearance(rng), 200)
        grey, truth = cv2.cvtColor(face.image_bgr, cv2.COLOR_BGR2GRAY), face.truth.landmarks_xy
        box = face.truth.box_xyxy[None] + np.float32([[14, -10, 14, -10]] if number % 2 else [[-8, -8, 8, 8]])
        for looks_twice, found in errors.items():
            finder = open_landmark_finder(packaged_landmarks_path(), looks_twice=looks_twice)
            far = np.linalg.norm(finder.find(grey, box).points_xy[0, :68] - truth, axis=1)
            found.append(far.mean() / np.linalg.norm(truth[45] - truth[36]))
    assert np.mean(errors[True]) < 0.93 * np.mean(errors[False])


def test_a_wall_and_noise_are_no_faces(finder):
    noise = np.random.default_rng(2).integers(0, 256, (200, 200), np.uint8)
    box = np.array([[40, 40, 140, 140]], np.float32)
    pupils, found = LandmarkPupils(finder).find(np.full((200, 200), 128, np.uint8), box)
    assert not found.any()
    np.testing.assert_array_equal(pupils, default_pupils(box))
    assert finder.find(noise, box).confidence[0] < 0.4


def test_a_face_is_marked_the_same_alone_and_among_others():
    bundle = open_landmarks(packaged_landmarks_path())
    regressor, _ = open_regressor(bundle)
    crops = bundle.golden.crops
    together, alone = regressor.regress(crops)[0], [regressor.regress(crops[n : n + 1])[0] for n in range(8)]
    np.testing.assert_allclose(np.concatenate(alone), together, atol=0.03)


@pytest.mark.realdata
def test_on_people_that_it_never_saw_the_network_that_ships_is_as_good_as_it_says(finder, shared_data):
    faces = load_marked(shared_data / "faces/landmarks68.npz", "test")
    found = evaluate_landmarks(finder, faces.rows(slice(None, None, 3)))
    quality = open_landmarks(packaged_landmarks_path()).manifest.quality
    assert found.error.mean == pytest.approx(quality.error, abs=0.006)
    assert found.given_up < 0.03
    assert found.doubt < -0.3
    assert found.pupils["landmarks"].within > 2 * found.pupils["Haar eyes"].within
    assert found.pupils["landmarks"].within > 0.85


@pytest.fixture(scope="module")
def calibrated(archive, tmp_path_factory):
    source = open_landmarks(packaged_landmarks_path())
    return calibrate_landmarks(source, archive, tmp_path_factory.mktemp("out") / "landmarks")


def test_what_is_quantized_is_proven_timed_and_opens(calibrated):
    manifest = calibrated.bundle.manifest
    assert {verdict.variant for verdict in calibrated.verdicts} == {"onnxruntime int8", "openvino int8"}
    offered = {f"{variant.backend} {variant.precision}" for variant in manifest.variants}
    assert {"onnxruntime fp32", "openvino fp32"} <= offered
    assert offered - {"onnxruntime fp32", "openvino fp32"} == {
        v.variant for v in calibrated.verdicts if v.passed
    }
    assert [calibrated.ms_per_face[f"{v.backend} {v.precision}"] for v in manifest.variants] == sorted(
        calibrated.ms_per_face.values()
    )
    facts = json.loads(calibrated.bundle.path("calibration.json").read_text())
    assert facts["evaluation"]["faces"] == manifest.quality.faces


def test_every_variant_of_it_gives_the_golden_points_here(calibrated):
    golden = calibrated.bundle.golden
    for variant in calibrated.bundle.manifest.variants:
        points, _ = load_regressor(calibrated.bundle, variant).regress(golden.crops)
        assert np.abs(points - golden.logits).max() <= golden.tolerances[variant.precision]


def test_a_network_that_is_there_is_not_overwritten(calibrated, archive):
    with pytest.raises(BundleError, match="there already"):
        calibrate_landmarks(calibrated.bundle, archive, calibrated.bundle.folder)


def test_the_command_tells_the_figures_and_draws_the_points(archive, tmp_path):
    picture = tmp_path / "points.png"
    result = CliRunner().invoke(
        app, ["evaluate", "landmarks", "--data", str(archive), "--json", "--picture", str(picture)]
    )
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["persons"] < 30
    assert {"Haar eyes", "landmarks", "landmarks and Hough"} == set(facts["pupils"])
    assert cv2.imread(str(picture)).shape[1] == 8 * 288


def test_int8_stands_first_in_what_ships():
    first, *_ = open_landmarks(packaged_landmarks_path()).manifest.variants
    assert isinstance(first, Variant)
    assert first.precision == "int8"
