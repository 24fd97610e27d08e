"""A live camera and everything that cameras do, with a real server and a real child process."""

from __future__ import annotations

import logging
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.config import CameraSection
from edge_runtime.errors import SourceUnavailableError
from edge_runtime.frames.frame import Frame
from edge_runtime.frames.live import Backoff, LiveCamera

PATIENCE_S = 20.0  # for slow machines; never used up where all is well


def settings(**changes: float) -> CameraSection:
    quick = {
        "open_timeout_s": 2.0,
        "read_timeout_s": 0.3,
        "restart_after_s": 0.8,
        "restart_backoff_s": 0.1,
        "restart_backoff_max_s": 0.2,
    }
    return CameraSection(**{**quick, **changes})


def next_frame(camera: LiveCamera) -> Frame:
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        if (frame := camera.read(0.2)) is not None:
            return frame
    raise AssertionError(f"no frame came: {camera.last_problem}")


def read_until(camera: LiveCamera, condition) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        camera.read(0.05)
        assert time.monotonic() < deadline_s, f"never happened: {camera.counters} {camera.last_problem}"


def is_running(pid: int) -> bool:
    """Whether the process exists; one that nobody has waited for yet counts as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def ends_soon(pid: int) -> bool:
    deadline_s = time.monotonic() + PATIENCE_S
    while is_running(pid) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    return not is_running(pid)


def messages(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_frames_come_with_the_monotonic_clock_and_the_newest_first(mjpeg_camera):
    with LiveCamera(
        mjpeg_camera.url, settings(read_timeout_s=5, restart_after_s=10), camera_id="door"
    ) as camera:
        assert camera.wait_until_open(PATIENCE_S)
        before = next_frame(camera)
        time.sleep(0.5)
        frames = [next_frame(camera) for _ in range(5)]
        now_s = time.monotonic()

        assert camera.online
        assert camera.last_problem == ""
        assert camera.is_live

    timestamps = [frame.timestamp_s for frame in (before, *frames)]
    assert (
        frames[0].image_bgr.mean() - before.image_bgr.mean() > 5
    )  # those of the half second were passed over
    assert np.all(np.diff(timestamps) > 0)
    assert 0 <= now_s - timestamps[-1] < 5
    assert frames[0].image_bgr.shape == (120, 160, 3)
    assert frames[0].camera_id == "door"
    assert camera.counters.frames == 6
    assert camera.counters.dropped > 5
    assert (camera.counters.stalls, camera.counters.reconnects, camera.counters.corrupt) == (0, 0, 0)


def test_no_frame_in_time_is_none_and_not_an_error(mjpeg_camera):
    mjpeg_camera.hung.set()
    with LiveCamera(mjpeg_camera.url, settings()) as camera:
        assert camera.read(0.0) is None
        assert camera.read(0.05) is None
        assert not camera.online


def test_a_camera_that_vanishes_and_returns_is_survived_and_logged_twice(mjpeg_camera, caplog):
    caplog.set_level(logging.INFO, "edge_runtime")
    with LiveCamera(mjpeg_camera.url, settings(read_timeout_s=2, restart_after_s=4)) as camera:
        last = next_frame(camera)
        mjpeg_camera.stop()
        read_until(camera, lambda: "connection refused" in camera.last_problem)
        assert not camera.online
        assert camera.last_hint

        mjpeg_camera.start()
        again = next_frame(camera)

        assert camera.online
        assert camera.last_problem == ""

    assert again.timestamp_s > last.timestamp_s
    assert camera.counters.reconnects == 1
    (lost, lost_message), (back, back_message) = messages(caplog)
    assert (lost, back) == ("WARNING", "INFO")
    assert mjpeg_camera.url in lost_message
    assert "is back after" in back_message


def test_a_camera_that_hangs_is_a_stall_and_is_restarted(mjpeg_camera, caplog):
    caplog.set_level(logging.INFO, "edge_runtime")
    with LiveCamera(mjpeg_camera.url, settings()) as camera:
        next_frame(camera)
        first_child = camera.child_pid
        mjpeg_camera.hung.set()
        read_until(camera, lambda: not camera.online)
        assert camera.counters.stalls == 1
        assert "no frame for" in camera.last_problem
        assert camera.child_pid == first_child

        read_until(camera, lambda: camera.child_pid not in (None, first_child))
        assert not is_running(first_child)
        mjpeg_camera.hung.clear()
        next_frame(camera)
        assert camera.online

    assert camera.counters.stalls == 1  # one loss, however many attempts it took
    assert camera.counters.reconnects == 1
    assert [level for level, _ in messages(caplog)] == ["WARNING", "INFO"]


def test_a_short_pause_is_a_stall_without_a_restart(mjpeg_camera):
    with LiveCamera(mjpeg_camera.url, settings(restart_after_s=30)) as camera:
        next_frame(camera)
        child = camera.child_pid
        mjpeg_camera.hung.set()
        read_until(camera, lambda: not camera.online)
        mjpeg_camera.hung.clear()
        read_until(camera, lambda: camera.online)

        assert camera.child_pid == child
    assert (camera.counters.stalls, camera.counters.reconnects) == (1, 0)


def test_a_server_that_accepts_and_never_answers_is_tried_again(caplog):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://viewer:geheim@127.0.0.1:{listener.getsockname()[1]}/v"
        with LiveCamera(url, settings(open_timeout_s=0.3)) as camera:
            first_child = camera.child_pid
            read_until(camera, lambda: camera.child_pid not in (None, first_child))

            assert "accepts connections but does not answer" in camera.last_problem
            assert not camera.online
    assert camera.counters.stalls == 0  # it was never there
    assert "viewer:***@127.0.0.1" in caplog.text
    assert "geheim" not in caplog.text


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        pytest.param(
            "rtsp://admin:geheim@127.0.0.1:9/live",
            "connection refused by 127.0.0.1:9",
            id="rtsp, closed port",
        ),
        pytest.param("99", "/dev/video99 does not exist", id="USB camera 99"),
        pytest.param("/dev/v4l/by-id/none", "/dev/v4l/by-id/none does not exist", id="USB camera by path"),
    ],
)
def test_a_camera_that_is_not_there_says_why_and_is_tried_again(source, problem, caplog):
    with LiveCamera(source, settings(), camera_id="door") as camera:
        assert camera.read(0.0) is None  # the constructor did not wait
        first_child = camera.child_pid
        read_until(camera, lambda: camera.child_pid not in (None, first_child))

        assert not camera.wait_until_open(0.0)
        assert camera.last_problem == problem
        assert camera.last_hint
        assert camera.counters.reconnects == 0
    assert len(caplog.records) == 1
    assert problem in caplog.text
    assert "geheim" not in caplog.text


def test_an_answer_that_refuses_is_said_in_its_own_words(mjpeg_camera):
    mjpeg_camera.status = 404
    with LiveCamera(mjpeg_camera.url, settings()) as camera:
        read_until(camera, lambda: camera.last_problem)

        assert "no stream at this path (HTTP/1.0 404 Not Found)" in camera.last_problem


def test_a_killed_child_is_replaced(mjpeg_camera):
    with LiveCamera(mjpeg_camera.url, settings(read_timeout_s=5, restart_after_s=10)) as camera:
        next_frame(camera)
        first_child = camera.child_pid
        os.kill(first_child, signal.SIGKILL)
        read_until(camera, lambda: not camera.online)
        assert camera.last_problem == "its process ended unexpectedly"

        next_frame(camera)
        assert camera.child_pid != first_child
    assert camera.counters.reconnects == 1


def test_a_child_that_stands_still_is_killed_and_replaced(mjpeg_camera):
    with LiveCamera(mjpeg_camera.url, settings()) as camera:
        next_frame(camera)
        first_child = camera.child_pid
        os.kill(first_child, signal.SIGSTOP)
        read_until(camera, lambda: camera.counters.reconnects)

        assert not is_running(first_child)
    assert camera.counters.stalls == 1


@pytest.mark.parametrize(
    "stop_signal", [None, signal.SIGSTOP], ids=["a child that reads", "a child that hangs"]
)
def test_close_ends_the_child_and_may_be_called_twice(mjpeg_camera, stop_signal):
    descriptors = len(os.listdir("/proc/self/fd"))
    camera = LiveCamera(mjpeg_camera.url, settings(read_timeout_s=5, restart_after_s=10))
    next_frame(camera)
    child = camera.child_pid
    if stop_signal:
        os.kill(child, stop_signal)
    camera.close()
    camera.close()

    assert not is_running(child)
    assert not camera.online
    with pytest.raises(SourceUnavailableError, match="was closed"):
        camera.read()
    mjpeg_camera.stop()
    assert len(os.listdir("/proc/self/fd")) <= descriptors


def test_a_child_ends_with_a_parent_that_was_killed(mjpeg_camera):
    script = """if True:
        import sys, time
        from edge_runtime.config import CameraSection
        from edge_runtime.frames.live import LiveCamera
        camera = LiveCamera(sys.argv[1], CameraSection())
        while camera.read() is None: pass
        print(camera.child_pid, flush=True)
        time.sleep(60)
    """
    with subprocess.Popen([sys.executable, "-c", script, mjpeg_camera.url], stdout=subprocess.PIPE) as parent:
        child = int(parent.stdout.readline())
        assert is_running(child)
        parent.kill()

    assert ends_soon(child)


def test_ctrl_c_is_for_the_parent(mjpeg_camera):
    with LiveCamera(mjpeg_camera.url, settings(read_timeout_s=5, restart_after_s=10)) as camera:
        next_frame(camera)
        child = camera.child_pid
        os.kill(child, signal.SIGINT)
        for _ in range(5):
            next_frame(camera)

        assert camera.child_pid == child
        assert os.getpgid(child) != os.getpgid(0)


def test_a_camera_that_returns_with_larger_frames_is_read_on(mjpeg_camera):
    # Within one connection OpenCV scales every frame to the size of the first.
    with LiveCamera(mjpeg_camera.url, settings(read_timeout_s=5, restart_after_s=10)) as camera:
        assert next_frame(camera).image_bgr.shape == (120, 160, 3)
        mjpeg_camera.stop()
        mjpeg_camera.sizes = [(720, 1280)]
        mjpeg_camera.start()
        read_until(camera, lambda: camera.counters.reconnects)

        assert next_frame(camera).image_bgr.shape == (720, 1280, 3)


def test_a_camera_without_colour_sends_a_third_of_the_bytes(mjpeg_camera):
    with LiveCamera(mjpeg_camera.url, settings(read_timeout_s=5, restart_after_s=10), grey=True) as camera:
        assert next_frame(camera).image.shape == (120, 160)


def test_the_newest_frame_is_not_mistaken_for_a_stall_after_a_pause_of_the_reader(mjpeg_camera):
    with LiveCamera(mjpeg_camera.url, settings()) as camera:
        next_frame(camera)
        child = camera.child_pid
        time.sleep(1.2)  # longer than both time-outs

        assert camera.read(PATIENCE_S) is not None
        assert camera.child_pid == child
    assert (camera.counters.stalls, camera.counters.reconnects) == (0, 0)


def test_the_password_is_not_on_the_childs_command_line(mjpeg_camera):
    url = mjpeg_camera.url.replace("//", "//viewer:geheim@")
    with LiveCamera(url, settings(read_timeout_s=5, restart_after_s=10)) as camera:
        next_frame(camera)

        assert b"geheim" not in Path(f"/proc/{camera.child_pid}/cmdline").read_bytes()
        assert b"geheim" not in Path(f"/proc/{camera.child_pid}/environ").read_bytes()


@pytest.mark.parametrize(
    ("module", "loaded"),
    [
        pytest.param("edge_runtime.frames.grabber", False, id="the child"),
        pytest.param("edge_runtime.frames.live", True, id="the parent, which shows that the test can fail"),
    ],
)
def test_the_child_loads_little(module, loaded):
    script = f"import {module}, sys; print('pydantic' in sys.modules or 'onnxruntime' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )

    assert ran.stdout.strip() == str(loaded)


def test_pauses_double_up_to_the_limit_are_shortened_by_half_at_most_and_begin_again():
    backoff = Backoff(5.0, 60.0, random.Random(7))

    pauses = [backoff.next_pause_s() for _ in range(6)]
    backoff.reset()

    for pause_s, longest_s in zip(pauses, [5, 10, 20, 40, 60, 60], strict=True):
        assert longest_s / 2 <= pause_s <= longest_s
    assert backoff.next_pause_s() <= 5
