"""`roomtone survey` as an installer types it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from brokers import until
from typer.testing import CliRunner

from edge_runtime.cli import app
from edge_runtime.errors import SourceError
from edge_runtime.survey.canvas import typewritten, wrapped

ROOM = "simulated://students=6,seed=3,width=960,height=540,seconds=3"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "edge_runtime", "survey", *arguments]


def survey(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=120, check=False, cwd=folder
    )


def test_a_simulated_classroom_is_read_seat_by_seat(tmp_path: Path) -> None:
    done = survey("--source", ROOM, "--json", "--out", str(tmp_path / "survey.png"))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["schema"] == "roomtone-survey/1"
    assert sum(report["grades"].values()) == len(report["places"]) == 6
    assert report["verdict"] in ("good", "usable")
    assert report["distances"]["rows"][0] == {
        "row": 1,
        "distance_m": 2.0,
        "face_px": 33.6,  # 480 px · 0.14 m / 2 m
        "grade": "marginal",
    }
    assert (tmp_path / "survey.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["survey.png"]


@pytest.mark.parametrize(
    ("out", "problem"),
    [("survey.txt", "no picture format"), ("not-there/survey.png", "is no folder")],
)
def test_a_picture_that_cannot_be_written_is_told_before_the_minute_begins(
    tmp_path: Path, out: str, problem: str
) -> None:
    done = survey("--source", ROOM, "--out", out, folder=tmp_path)
    assert done.returncode == 1
    assert problem in done.stderr
    assert "surveying" not in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_unless_it_is_asked_for(tmp_path: Path) -> None:
    done = survey("--source", ROOM, "--seconds", "1", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "places can be read" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_an_empty_room_says_so(tmp_path: Path, mjpeg_camera) -> None:
    mjpeg_camera.frames_per_size = 100_000
    done = survey("--source", mjpeg_camera.url, "--seconds", "2", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["verdict"] == "empty"
    assert report["places"] == []


def test_a_camera_that_does_not_open_says_why(mjpeg_camera) -> None:
    mjpeg_camera.status = 401
    done = survey("--source", mjpeg_camera.url.replace("http://", "http://me:hunter2@"))
    assert done.returncode == 4
    assert "does not accept the user and password" in done.stderr
    assert "hunter2" not in done.stderr


def test_a_camera_that_does_not_open_is_not_waited_for(mjpeg_camera, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_runtime.survey.surveyor._NOBODY_S", 100.0)  # for one that is silent
    mjpeg_camera.status = 401
    began_s = time.monotonic()
    done = CliRunner().invoke(app, ["survey", "--source", mjpeg_camera.url])
    assert isinstance(done.exception, SourceError)
    assert time.monotonic() - began_s < 100


def test_ctrl_c_gives_the_report_so_far(mjpeg_camera) -> None:
    with subprocess.Popen(
        command("--source", mjpeg_camera.url, "--seconds", "600", "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert until(lambda: mjpeg_camera.served > 3 * mjpeg_camera.fps, 60)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert 0 < json.loads(out)["seconds"] < 60
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        pytest.param(["--source", "nowhere.mp4"], 4, "does not exist", id="no such film"),
        pytest.param(
            ["--source", ROOM, "--seconds", "1", "--out", "x.docx"], 1, ".png or .jpg", id="no picture"
        ),
        pytest.param(
            ["--source", ROOM, "--seconds", "1", "--out", "no/x.png"], 1, "cannot be written", id="no folder"
        ),
        pytest.param(["--source", ROOM, "--lens-degrees", "200"], 2, "lens-degrees", id="no lens"),
    ],
)
def test_bad_input_is_named(arguments: list[str], code: int, words: str, tmp_path: Path) -> None:
    done = survey(*arguments, folder=tmp_path)
    assert done.returncode == code
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.realdata
def test_faces_of_14_px_are_told_to_be_too_small(shared_data: Path) -> None:
    done = survey("--source", str(shared_data / "videos" / "classroom.gif"), "--json")
    report = json.loads(done.stdout)
    assert report["verdict"] == "poor"
    assert set(report["grades"]) == {"readable", "marginal", "too small", "too dark", "turned away"}
    assert report["grades"]["too small"] == len(report["places"]) > 0
    assert "nearer" in report["advice"][0]["change"]


def test_text_is_spelled_in_what_the_fonts_have_and_broken_between_words() -> None:
    assert typewritten("Größe 3×4 – 90°") == "Groe 3x4 - 90 deg"
    lines = wrapped("one two three four five six seven eight", 100, 16)
    assert " ".join(lines) == "one two three four five six seven eight"
    assert len(lines) > 2
    assert wrapped("", 100, 16) == []
