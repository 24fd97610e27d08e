"""Why a camera does not open, asked of real sockets and files."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edge_runtime.frames.diagnosis import explain, explain_device, explain_stream


@pytest.fixture
def server():
    """Makes a server that sends one answer, whatever it is asked; its port is returned."""
    opened = []

    def answer_with(answer: bytes) -> int:
        listener = socket.create_server(("127.0.0.1", 0))

        def answer_once() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=answer_once)
        thread.start()
        opened.append((listener, thread))
        return listener.getsockname()[1]

    yield answer_with
    for listener, thread in opened:
        thread.join()
        listener.close()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.mark.parametrize(
    ("scheme", "answer", "expected"),
    [
        pytest.param("rtsp", b"RTSP/1.0 200 OK\r\n\r\n", None, id="rtsp: nothing wrong"),
        pytest.param(
            "rtsp",
            b"RTSP/1.0 401 Unauthorized\r\n\r\n",
            "asks for a user and password (RTSP/1.0 401",
            id="rtsp: 401",
        ),
        pytest.param("rtsp", b"RTSP/1.0 404 Not Found\r\n\r\n", "no stream at this path", id="rtsp: 404"),
        pytest.param(
            "rtsp", b"RTSP/1.0 453 Not Enough Bandwidth\r\n\r\n", "refuses the stream", id="rtsp: 453"
        ),
        pytest.param("rtsp", b"SSH-2.0-OpenSSH_9.6\r\n", "does not speak rtsp", id="rtsp: another service"),
        pytest.param("rtsp", b"", "does not speak rtsp", id="rtsp: closes at once"),
        pytest.param("http", b"HTTP/1.1 200 OK\r\n\r\n", None, id="http: nothing wrong"),
        pytest.param(
            "http", b"HTTP/1.1 503 Busy\r\n\r\n", "refuses the stream (HTTP/1.1 503 Busy)", id="http: 503"
        ),
    ],
)
def test_the_first_line_of_a_servers_answer_is_explained(server, scheme, answer, expected):
    problem = explain_stream(f"{scheme}://127.0.0.1:{server(answer)}/live")

    assert (problem is None) if expected is None else (expected in problem.what)


def test_a_password_that_is_not_accepted_is_said_and_not_shown(server):
    port = server(b"HTTP/1.1 401 Unauthorized\r\n\r\n")

    problem = explain_stream(f"http://admin:geheim@127.0.0.1:{port}/live")

    assert "does not accept the user and password" in problem.what
    assert "geheim" not in problem.what + problem.hint


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param(f"rtsp://127.0.0.1:{closed_port()}/v", "connection refused by 127.0.0.1:", id="refused"),
        pytest.param(
            "rtsp://no-such-host.invalid/v", "is not known|no connection", id="unknown name (RFC 6761)"
        ),
        pytest.param("rtsp:///v", "names no host", id="no host"),
    ],
)
def test_a_server_that_cannot_be_reached_is_explained(url, expected):
    import re

    problem = explain(url)

    assert re.search(expected, problem.what)
    assert problem.hint


def test_a_server_that_accepts_and_then_says_nothing_is_explained():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        problem = explain_stream(f"http://127.0.0.1:{listener.getsockname()[1]}/v")

    assert "accepts connections but does not answer" in problem.what


def test_a_missing_camera_is_explained_with_those_that_are_there(tmp_path: Path):
    (tmp_path / "video0").touch()

    problem = explain_device(tmp_path / "video2")

    assert problem.what.endswith("video2 does not exist")
    assert "video0" in problem.hint


def test_a_camera_that_another_program_has_open_is_explained_with_its_pid(tmp_path: Path):
    device = tmp_path / "video0"
    device.touch()
    script = "import sys; f = open(sys.argv[1]); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(device)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        problem = explain_device(device)
        other.stdin.close()
        other.wait(10)

    assert f"(pid {other.pid})" in problem.what
    assert "is busy" in problem.what
    assert explain_device(device) is None
