"""The camera: a real HTTP camera, films, the simulated classroom."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.config import Config
from edge_runtime.provisioning.doctor.camera import look
from edge_runtime.publishing.outbox import Outbox


def findings(source: str, tmp_path: Path, **camera: object) -> dict[str, tuple[str, str]]:
    config = Config.model_validate(
        {"camera": {"source": source, **camera}, "outbox": {"path": tmp_path / "outbox.sqlite3"}}
    )
    return {
        found.title or "camera": (str(found.status), f"{found.what} → {found.next_step}")
        for found in look(config, measure_s=0.6)
    }


def film(folder: Path, images: list[np.ndarray], fps: float = 25.0) -> str:
    path = folder / "film.avi"
    height, width = images[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), fps, (width, height))
    for image in images:
        writer.write(image)
    writer.release()
    return str(path)


def test_a_simulated_classroom_passes(tmp_path: Path) -> None:
    found = findings("simulated://students=4,seed=3,width=640,height=360,fps=20", tmp_path)
    assert {title: status for title, (status, _) in found.items()} == {
        "camera": "ok",
        "frame rate": "ok",
        "resolution": "ok",
        "exposure": "ok",
    }
    assert "20.0 frames/s" in found["frame rate"][1]
    assert "640×360" in found["resolution"][1]


def test_a_network_camera_s_real_rate_is_measured(tmp_path: Path, mjpeg_camera) -> None:
    mjpeg_camera.fps = 25.0
    mjpeg_camera.frames_per_size = 10_000
    found = findings(mjpeg_camera.url, tmp_path, fps=60, width_px=1280, height_px=720)
    assert found["camera"][0] == "ok"
    assert found["frame rate"][0] == "warn"
    rate = float(found["frame rate"][1].split()[0])
    assert 10 < rate < 30  # its own clock is a loaded machine's
    assert "1280×720 was asked for" in found["resolution"][1]


def test_a_network_camera_that_asks_for_a_password_says_so(tmp_path: Path, mjpeg_camera) -> None:
    mjpeg_camera.status = 401
    found = findings(mjpeg_camera.url.replace("http://", "http://me:hunter2@"), tmp_path, open_timeout_s=2)
    assert found["camera"][0] == "fail"
    assert "does not accept the user and password" in found["camera"][1]
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        pytest.param("/dev/video99", "does not exist", id="no such device"),
        pytest.param("nowhere.mp4", "does not exist", id="no such film"),
        pytest.param("simulated://pupils=3", "pupils", id="a key that the simulation does not know"),
    ],
)
def test_what_does_not_open_says_why(tmp_path: Path, source: str, words: str) -> None:
    found = findings(source, tmp_path, open_timeout_s=2)
    assert found["camera"][0] == "fail"
    assert words in found["camera"][1]


def test_a_camera_that_the_runtime_holds_is_left_alone(tmp_path: Path) -> None:
    with Outbox(tmp_path / "outbox.sqlite3", max_bytes=10**6, max_age_s=60):
        found = findings("/dev/video99", tmp_path)
    assert found == {"camera": ("skipped", "/dev/video99 is in use by the running roomtone → "
                                "to look at it: systemctl stop roomtone, then again")}  # fmt: skip


def test_light_is_judged(tmp_path: Path) -> None:
    noise = np.random.default_rng(3).integers(-20, 20, (12, 90, 160, 3))
    for grey, status, words in (
        (0, "fail", "lens cover"),
        (45, "warn", "more light"),
        (128, "ok", "mean grey"),
        (300, "warn", "plain white"),
    ):
        folder = tmp_path / str(grey)
        folder.mkdir()
        images = [np.clip(grey + part * (grey > 0), 0, 255).astype(np.uint8) for part in noise]
        found = findings(film(folder, images), tmp_path)
        assert found["exposure"][0] == status, grey
        assert words in found["exposure"][1]


@pytest.mark.realdata
def test_a_real_film_passes(tmp_path: Path, shared_data: Path) -> None:
    found = findings(str(shared_data / "videos" / "mosaic_1080p.mp4"), tmp_path)
    assert {status for status, _ in found.values()} == {"ok"}
    assert "25.0 frames/s" in found["frame rate"][1]
    assert "1920×1080" in found["resolution"][1]
