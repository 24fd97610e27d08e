"""`roomtone support-bundle` on a device with secrets everywhere: none, and no picture, is in the archive."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from brokers import Mosquitto

from edge_runtime.publishing.outbox import Outbox
from edge_runtime.publishing.outbox_snapshot import is_held, snapshot

MQTT_PASSWORD = "tin Whistle/42"
CAMERA_PASSWORD = "br0ken@rrow"
TOKEN = "tok_9f8e7d6c"
KEY_BODY = "MHcCAQEEIKs1mpleButSecretKeyMaterial"
OTHERS_PASSWORD = "someone elses"
CONTACT = "Erika Müller <e.mueller@school.example>"
AGREEMENT = "Jens Krüger, 2026-09-01"

# Beginnings of picture files and of numpy arrays, plain and in base64.
PICTURES = (
    rb"\xff\xd8\xff",
    rb"\x89PNG",
    rb"GIF8[79]a",
    rb"RIFF....WEBP",
    rb"\x93NUMPY",
    rb"/9j/4AAQ",
    rb"iVBORw0KGgo",
)


@pytest.fixture
def device(tmp_path: Path, mosquitto: Mosquitto, tiny_bundle: Path) -> Path:
    """A device's folder: configuration, credentials, a log, an outbox with an event."""
    picture = cv2.imencode(".jpg", np.random.default_rng(1).integers(0, 255, (60, 60, 3), np.uint8))[
        1
    ].tobytes()
    folder = tmp_path / "device"
    (folder / "credentials").mkdir(parents=True)
    (folder / "credentials" / "mqtt_username").write_text("camera\n")
    (folder / "credentials" / "mqtt_password").write_text(f"{MQTT_PASSWORD}\n")
    source = f"http://admin:{CAMERA_PASSWORD}@127.0.0.1:9/video?token={TOKEN}"
    (folder / "config.toml").write_text(
        f'# old password = "{OTHERS_PASSWORD}"\n'
        f'[device]\nsite = "north"\n[deployment]\ncontact = "{CONTACT}"\nteacher_agreement = "{AGREEMENT}"\n'
        f'[camera]\nsource = "{source}"\nopen_timeout_s = 1\n'
        f'[mqtt]\nurl = "{mosquitto.mqtt.url}"\n[inference]\nbundle = "{tiny_bundle}"\n'
        f'[outbox]\npath = "{folder / "outbox.sqlite3"}"\n'
    )
    (folder / "roomtone.log").write_text(
        f"connecting as camera with {MQTT_PASSWORD}\n"
        f"opened {source}\n"
        f"Authorization: Basic {base64.b64encode(f'admin:{CAMERA_PASSWORD}'.encode()).decode()}\n"
        f"-----BEGIN PRIVATE KEY-----\n{KEY_BODY}\n-----END PRIVATE KEY-----\n"
        f"dumped frame {base64.b64encode(picture).decode()}\n"
        "the line that helps\n"
    )
    with (folder / "roomtone.log").open("ab") as log:
        log.write(picture)
    with Outbox(folder / "outbox.sqlite3", max_bytes=10**6, max_age_s=3600) as outbox:
        outbox.append("camera-1-1-1", "roomtone/x", b'{"share_happy": 0.25}', 1.0)
    return folder


def support_bundle(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge_runtime", "support-bundle", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.broker
def test_no_secret_no_picture_and_no_event_is_in_the_archive(device: Path, tmp_path: Path) -> None:
    out = tmp_path / "support.zip"
    log = str(device / "roomtone.log")
    done = support_bundle("--config", str(device / "config.toml"), "--log", log, "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert out.stat().st_mode & 0o077 == 0
    with zipfile.ZipFile(out) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    everything = b"\n".join(parts.values()) + "\n".join(parts).encode() + (done.stdout + done.stderr).encode()
    for secret in (MQTT_PASSWORD, CAMERA_PASSWORD, TOKEN, KEY_BODY, OTHERS_PASSWORD, CONTACT, AGREEMENT):
        assert secret.encode() not in everything, secret
        assert base64.b64encode(f"admin:{secret}".encode()) not in everything, secret
    for picture in PICTURES:
        assert re.search(picture, everything, re.DOTALL) is None, picture
    assert b"share_happy" not in everything
    for name, data in parts.items():
        data.decode("utf-8")
        assert b"\0" not in data, name

    assert b"the line that helps" in parts["logs/0-roomtone.log"]
    assert b'site = "north"' in parts["configuration.toml"]
    assert b"http://admin:***@127.0.0.1:9/video?token=***" in parts["configuration.toml"]
    assert json.loads(parts["doctor.json"])["schema"] == "roomtone-doctor/1"
    assert json.loads(parts["outbox.json"])["rows"] == 1
    assert json.loads(parts["bundle.json"])["manifest"]["name"] == "tiny"
    assert "numpy" in json.loads(parts["versions.json"])["packages"]
    assert json.loads(parts["hardware.json"])["processors"] >= 1
    assert b"Look into it before you send it" in parts["about.txt"]


def test_a_configuration_with_faults_goes_in_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[camera]\nsauce = "rtsp://u:swordfish@cam/"\n')
    done = support_bundle("--config", str(tmp_path / "config.toml"), "--out", str(tmp_path / "s.zip"))
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / "s.zip") as archive:
        assert "configuration.toml" not in archive.namelist()
        assert archive.read("configured/0-config.toml") == b'[camera]\nsauce = "rtsp://u:***@cam/"\n'
        assert "is not a key that roomtone knows" in archive.read("doctor.json").decode()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[camera]\nwrong = 1\n")
    done = support_bundle("--config", str(tmp_path / "config.toml"), "--out", str(tmp_path / "no" / "s.zip"))
    assert done.returncode == 1
    assert "cannot be written" in done.stderr


def test_an_outbox_that_the_runtime_holds_is_read_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3"
    assert not is_held(path)
    with Outbox(path, max_bytes=10**6, max_age_s=3600) as outbox:
        outbox.append("a-1-1", "roomtone/x", b"{}", 1.0)
        outbox.append("a-1-2", "roomtone/x", b"{}", 2.0)
        assert is_held(path)
        seen = snapshot(path)
        assert seen.rows == len(outbox) == 2
        assert outbox.append("a-1-3", "roomtone/x", b"{}", 3.0)
    assert not is_held(path)
    assert snapshot(path).rows == 3
