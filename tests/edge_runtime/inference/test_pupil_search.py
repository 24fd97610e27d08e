import cv2
import numpy as np
import pytest

from edge_runtime.bundle import Manifest, default_bundle_path, open_bundle
from edge_runtime.config import FacesSection
from edge_runtime.faces.alignment import LOOSE_TEMPLATE, align
from edge_runtime.faces.crops import CropMaker
from edge_runtime.faces.finder import Faces
from edge_runtime.faces.landmark_pupils import LandmarkPupils
from edge_runtime.faces.pupils import PupilFinder
from edge_runtime.faces.view import FrameView
from edge_runtime.frames.frame import Frame
from edge_runtime.frames.simulation.appearance import Pose
from edge_runtime.frames.simulation.controls import expression
from edge_runtime.frames.simulation.face import render_face
from edge_runtime.inference.pupil_search import locate_precut, pupil_source, pupil_way


def manifest(pupils: str | None) -> Manifest:
    stored = open_bundle(default_bundle_path()).manifest.model_dump(by_alias=True)
    del stored["pupils"]
    return Manifest.model_validate(stored if pupils is None else stored | {"pupils": pupils})


@pytest.mark.parametrize(
    ("configured", "learned", "taken"),
    [
        ("bundle", "landmarks", "landmarks"),
        ("bundle", "haar", "haar"),
        ("haar", "landmarks", "haar"),
        ("landmarks", "haar", "landmarks"),
    ],
)
def test_pupils_are_found_as_the_bundle_learned_unless_the_configuration_says_otherwise(
    configured, learned, taken
):
    assert pupil_way(FacesSection(pupils=configured), manifest(learned)) == taken


def test_a_bundle_of_an_earlier_version_learned_from_haar_eyes():
    assert pupil_way(FacesSection(), manifest(None)) == "haar"


def test_haar_eyes_open_no_network_and_landmarks_do():
    assert isinstance(pupil_source("haar"), PupilFinder)
    assert isinstance(pupil_source("landmarks"), LandmarkPupils)


def test_a_tilted_face_is_cut_upright_by_its_landmarks():
    face = render_face(expression("happy"), Pose(roll_deg=18), size_px=200)
    view = FrameView(Frame(face.image_bgr, 0.0))
    maker = CropMaker(LOOSE_TEMPLATE, 32, pupils=pupil_source("landmarks"))
    crops = maker.make(view, Faces(np.array([1]), face.truth.box_xyxy[None], np.zeros(1)))
    assert crops.pupils_found.tolist() == [True]
    truth = align(view.grey, face.truth.pupils_xy[None], LOOSE_TEMPLATE)
    assert np.corrcoef(crops.images.ravel(), truth.ravel())[0, 1] > 0.9


def test_data_sets_are_cut_by_the_same_landmarks_and_each_way_keeps_its_own(tmp_path):
    face = render_face(expression("neutral"), size_px=96, face_px=85)
    grey = cv2.cvtColor(face.image_bgr, cv2.COLOR_BGR2GRAY)[None]
    located = locate_precut(grey, "landmarks", cache=tmp_path)
    assert located.pupils_found.tolist() == [True]
    apart = np.linalg.norm(face.truth.pupils_xy[1] - face.truth.pupils_xy[0])
    assert np.abs(located.pupils_xy[0] - face.truth.pupils_xy).max() < 0.12 * apart
    assert (locate_precut(grey, "haar", cache=tmp_path).pupils_xy != located.pupils_xy).any()
    assert (locate_precut(grey, "landmarks", cache=tmp_path).pupils_xy == located.pupils_xy).all()
