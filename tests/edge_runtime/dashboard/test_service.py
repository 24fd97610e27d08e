"""`roomtone dashboard` as a user starts it: where it listens, what it refuses, and how it ends."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from brokers import Certificates, free_port, until

TOKEN = "a-token-of-thirty-two-characters"


def command(*options: str) -> list[str]:
    broker = f"mqtt://127.0.0.1:{free_port()}"  # where nobody listens
    return [
        sys.executable,
        "-m",
        "edge_runtime",
        "dashboard",
        "--broker",
        broker,
        "--store",
        "none",
        *options,
    ]


def refused(*options: str) -> tuple[int, str]:
    done = subprocess.run(command(*options), capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_a_port_that_is_taken_has_its_own_exit_code() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, words = refused("--port", str(taken.getsockname()[1]))
    assert code == 18
    assert "address already in use" in words
    assert "--port" in words


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param(["--host", "0.0.0.0"], "nobody would be asked", id="open to the world"),
        pytest.param(["--token-file", "nowhere"], "openssl rand", id="no token"),
        pytest.param(["--tls-cert", "nowhere"], "go together", id="half of TLS"),
        pytest.param(
            ["--tls-cert", "nowhere", "--tls-key", "nowhere"], "cannot be used", id="no certificate"
        ),
        pytest.param(["--broker", "http://x"], "mqtt.url", id="no broker"),
    ],
)
def test_what_cannot_be_served_is_a_sentence(options: list[str], words: str) -> None:
    code, said = refused(*options)
    assert code == 2
    assert words in said


def test_over_tls_and_without_its_broker_it_serves_says_why_and_ends_well(
    tmp_path: Path, certificates: Certificates
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    trust = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    options = ["--tls-cert", str(certificates / "server.pem"), "--tls-key", str(certificates / "server.key")]
    options += ["--token-file", str(tmp_path / "token"), "--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen(
        command(*options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        url = server.stdout.readline().split()[4]
        assert url.startswith("https://localhost:")
        request = urllib.request.Request(f"{url}api/state", headers={"Authorization": f"Bearer {TOKEN}"})

        def state() -> dict:
            with urllib.request.urlopen(request, context=trust) as answer:
                return json.load(answer)["server"]

        assert until(lambda: state()["broker"]["problem"])
        assert "nothing listens" in state()["broker"]["problem"]
        assert state()["history"] == {"kept": False, "problem": ""}
        login = urllib.request.Request(f"{url}login", data=f"token={TOKEN}".encode())
        opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=trust), _NoRedirect())
        assert "Secure" in opener.open(login).headers["set-cookie"]
        server.terminate()
        _, said = server.communicate(timeout=20)
        assert server.returncode == 0
    assert "Traceback" not in said


class _NoRedirect(urllib.request.HTTPErrorProcessor):
    def http_response(self, request: object, response: object) -> object:
        return response

    https_response = http_response
