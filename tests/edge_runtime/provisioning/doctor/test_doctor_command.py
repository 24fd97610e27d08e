"""`roomtone doctor` as an installer types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from brokers import PASSWORD, Listener, Mosquitto

from edge_runtime.publishing.credentials import Credentials


def doctor(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge_runtime", "doctor", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=environ or None
    )


def write_config(folder: Path, bundle: Path, broker: Mosquitto | None, **deployment: str) -> Path:
    said = {"jurisdiction": "GB", "purpose": "research", "contact": "head@school.example", **deployment}
    lines = ["[deployment]", *(f'{key} = "{value}"' for key, value in said.items())]
    lines += ["[camera]", 'source = "simulated://students=3,seed=1,width=640,height=360"']
    lines += ["[inference]", f'bundle = "{bundle}"', "[outbox]", f'path = "{folder / "outbox.sqlite3"}"']
    if broker is not None:
        lines += ["[mqtt]", f'url = "{broker.mqtt.url}"']
    (folder / "config.toml").write_text("\n".join(lines))
    return folder / "config.toml"


@pytest.mark.broker
def test_a_healthy_device_ends_with_0_and_its_password_is_not_shown(
    guarded_mosquitto: Mosquitto, tiny_bundle: Path, tmp_path: Path
) -> None:
    config = write_config(tmp_path, tiny_bundle, guarded_mosquitto)
    (tmp_path / "mqtt_username").write_text("camera\n")
    (tmp_path / "mqtt_password").write_text(PASSWORD)
    with Listener(guarded_mosquitto, Credentials("camera", PASSWORD)):
        done = doctor("--config", str(config), "--credentials", str(tmp_path), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["schema"] == "roomtone-doctor/1"
    status = {line["check"]: line["status"] for line in report["checks"]}
    for check in (
        "configuration",
        "lawful",
        "disk",
        "camera",
        "bundle",
        "engine",
        "mqtt",
        "publish",
        "listeners",
    ):
        assert status[check] == "ok", check
    assert all(line["next_step"] for line in report["checks"] if line["status"] in ("warn", "fail"))
    assert PASSWORD.strip() not in done.stdout + done.stderr


def test_a_faulty_configuration_is_one_line_and_the_board_is_still_looked_at(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[room]\nwindow = 3\n[device]\nsite = 'Nord Schule'\n")
    done = doctor("--config", str(tmp_path / "config.toml"))
    assert done.returncode == 1
    assert "did you mean window_s?" in done.stdout
    assert "device.site" in done.stdout
    assert "memory" in done.stdout
    assert "listeners" not in done.stdout


def test_a_use_that_the_law_prohibits_fails(tmp_path: Path, tiny_bundle: Path) -> None:
    config = write_config(tmp_path, tiny_bundle, None, jurisdiction="FR", purpose="education")
    done = doctor("--config", str(config), "--json")
    assert done.returncode == 1
    (line,) = (line for line in json.loads(done.stdout)["checks"] if line["check"] == "lawful")
    assert "Art. 5(1)(f)" in line["finding"]


def test_strict_takes_a_warning_for_a_failure(tmp_path: Path, tiny_bundle: Path) -> None:
    config = write_config(tmp_path, tiny_bundle, None, contact="")
    assert doctor("--config", str(config)).returncode == 0
    assert doctor("--config", str(config), "--strict").returncode == 1
