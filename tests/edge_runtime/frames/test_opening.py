"""What each kind of address opens."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.config import CameraSection
from edge_runtime.errors import SourceUnavailableError
from edge_runtime.frames.film import Film
from edge_runtime.frames.folder import ImageFolder
from edge_runtime.frames.live import LiveCamera
from edge_runtime.frames.opening import open_source


@pytest.fixture
def material(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a film, a folder of images, a text."""
    writer = cv2.VideoWriter(str(tmp_path / "a film.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.png").write_bytes(cv2.imencode(".png", np.zeros((4, 4), np.uint8))[1].tobytes())
    (tmp_path / "notes.txt").write_text("no film")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        pytest.param("a film.avi", Film, id="film"),
        pytest.param("file://{folder}/a%20film.avi", Film, id="film as a url"),
        pytest.param("photos", ImageFolder, id="folder"),
        pytest.param(" photos/ ", ImageFolder, id="folder with blanks around"),
        pytest.param("file://{folder}/photos", ImageFolder, id="folder as a url"),
        pytest.param("photos/1.png", ImageFolder, id="one image"),
        pytest.param("0", LiveCamera, id="camera index"),
        pytest.param("/dev/video7", LiveCamera, id="device file"),
        pytest.param("rtsp://127.0.0.1:9/v", LiveCamera, id="rtsp"),
        pytest.param("http://127.0.0.1:9/v", LiveCamera, id="http"),
    ],
)
def test_an_address_opens_its_kind_of_source(material: Path, source, kind):
    camera = CameraSection(source=source.format(folder=material))

    with open_source(camera, camera_id="room-3") as opened:
        assert isinstance(opened, kind)
        assert opened.camera_id == "room-3"


def test_the_simulated_classroom_is_opened_by_its_url():
    from edge_runtime.frames.simulation.classroom import SimulatedClassroom

    with open_source(CameraSection(source="simulated://students=12,seed=3")) as opened:
        assert isinstance(opened, SimulatedClassroom)
        assert opened.read() is not None


def test_a_film_is_played_at_its_own_pace_where_that_is_asked(material: Path):
    with (
        open_source(CameraSection(source="a film.avi")) as fast,
        open_source(CameraSection(source="a film.avi", realtime=True)) as paced,
    ):
        assert (fast.is_live, paced.is_live) == (False, True)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        pytest.param("gone.mp4", "does not exist", id="missing file"),
        pytest.param("notes.txt", "is no film", id="text"),
        pytest.param("rtsp://admin:pa/ss@10.0.0.7/v", "has a port", id="url whose password is not encoded"),
        pytest.param("http:///v", "names no host", id="url without a host"),
    ],
)
def test_what_can_never_deliver_is_refused_at_once_with_a_hint(material: Path, source, problem):
    with pytest.raises(SourceUnavailableError, match=problem) as caught:
        open_source(CameraSection(source=source))

    assert caught.value.hint
    assert "pa/ss" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_film_that_may_not_be_read_is_refused(material: Path):
    (material / "a film.avi").chmod(0)

    with pytest.raises(SourceUnavailableError, match="Permission denied"):
        open_source(CameraSection(source="a film.avi"))
