"""The status file and `roomtone health`: real processes, a real broker that goes away, a real kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from brokers import Mosquitto, until

from edge_runtime.config import Config
from edge_runtime.status_file import Status, StatusFile, judge, read_status, started_ticks


def status(*, age_s: float = 0.0, **changes: Any) -> Status:
    told = {
        "site": "s",
        "room": "r",
        "device": "d",
        "phase": "running",
        "pid": os.getpid(),
        "started_ticks": started_ticks(os.getpid()),
        "told_s": time.clock_gettime(time.CLOCK_BOOTTIME) - age_s,
        "interval_s": 60,
        "health": "ok",
    }
    return Status.model_validate(told | changes)


@pytest.mark.parametrize(
    ("changes", "exit_code", "word"),
    [
        pytest.param({}, 0, "ok", id="running"),
        pytest.param({"health": "degraded"}, 0, "degraded", id="slow or hot, but at work"),
        pytest.param({"health": "disabled"}, 0, "disabled", id="the shutter is closed"),
        pytest.param({"health": "broker_lost"}, 21, "broker_lost", id="the broker is away"),
        pytest.param({"health": "camera_lost"}, 1, "camera_lost", id="the camera is away"),
        pytest.param({"health": "outbox_full"}, 1, "outbox_full", id="the disk is full"),
        pytest.param({"phase": "starting", "health": None}, 21, "starting", id="starting"),
        pytest.param({"phase": "starting", "age_s": 300}, 1, "hung", id="starting for ever"),
        pytest.param({"phase": "stopped"}, 1, "stopped", id="stopped"),
        pytest.param({"age_s": 100}, 0, "ok", id="one reading missed"),
        pytest.param({"age_s": 200}, 1, "hung", id="silent"),
        pytest.param({"started_ticks": 1}, 1, "dead", id="another process under this number"),
        pytest.param({"pid": 2**22 + 1}, 1, "dead", id="no such process"),
    ],
)
def test_the_verdict(changes: dict[str, Any], exit_code: int, word: str) -> None:
    verdict = judge(status(**changes))
    assert (verdict.exit_code, verdict.word) == (exit_code, word)
    assert verdict.why


def test_nobody_there_is_not_healthy(tmp_path: Path) -> None:
    assert read_status([tmp_path, tmp_path / "absent"]) is None
    assert judge(None).exit_code == 1


@pytest.mark.parametrize(
    ("words", "exit_code", "says"),
    [
        (("ok", "degraded"), 0, "ok"),
        (("ok", "broker_lost"), 21, "broker_lost"),
        (("broker_lost", "camera_lost"), 1, "camera_lost"),
    ],
)
def test_of_several_cameras_the_one_that_is_worst_off_decides(
    tmp_path: Path, words: tuple[str, ...], exit_code: int, says: str
) -> None:
    for room, word in zip(("room-12", "room-13"), words, strict=True):
        told = status(room=room, health=word).model_dump_json()
        (tmp_path / f"s.{room}.d.status.json").write_text(told)
    (tmp_path / "s.gone.d.status.json").write_text(status(room="gone", pid=2**22 + 1).model_dump_json())
    command = [sys.executable, "-m", "edge_runtime", "health", "--folder", str(tmp_path)]
    done, lines = (
        subprocess.run([*command, *more], capture_output=True, text=True, check=False)
        for more in (["--json"], [])
    )
    found = json.loads(done.stdout)
    assert (done.returncode, found["exit_code"], found["word"]) == (exit_code, exit_code, says)
    assert [(each["room"], each["word"]) for each in found["devices"]] == list(
        zip(("room-12", "room-13"), words, strict=True)
    )
    assert [line.split(":")[0] for line in lines.stdout.splitlines()] == ["s.room-12.d", "s.room-13.d"]


def test_a_broken_file_is_skipped_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.b.c.status.json").write_text("{")
    (tmp_path / "s.r.d.status.json").write_text(status().model_dump_json())
    found = read_status([tmp_path])
    assert found is not None
    assert found.site == "s"
    assert "a.b.c.status.json" in caplog.text


def test_a_folder_that_takes_no_file_is_warned_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = StatusFile(Config(), {"RUNTIME_DIRECTORY": str(tmp_path / "absent")})
    file.write("running")
    file.write("running")
    assert caplog.text.count("cannot be written") == 1


def test_a_trial_without_broker_writes_none() -> None:
    assert StatusFile(Config(), {}).path is None


def test_a_second_agent_of_the_same_name_does_not_speak_for_the_first(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        told = tmp_path / "trial.room.camera-1.status.json"
        ticks = started_ticks(other.pid)
        said = status(site="trial", room="room", device="camera-1", pid=other.pid, started_ticks=ticks)
        told.write_text(said.model_dump_json())
        before = told.read_bytes()
        StatusFile(Config(), {"RUNTIME_DIRECTORY": str(tmp_path)}).write("starting")
        assert told.read_bytes() == before
        other.kill()
        other.wait()
        StatusFile(Config(), {"RUNTIME_DIRECTORY": str(tmp_path)}).write("starting")
        assert b"starting" in told.read_bytes()


@pytest.mark.broker
def test_health_follows_an_agent_from_start_to_kill_9(
    mosquitto: Mosquitto, tiny_bundle: Path, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        '[camera]\nsource = "simulated://students=4,seed=3,width=640,height=360"\nrealtime = true\n'
        f'[inference]\nbundle = "{tiny_bundle}"\n[room]\nwindow_s = 1\nmin_group = 1\n'
        f'[mqtt]\nurl = "{mosquitto.mqtt.url}"\n[stats]\ninterval_s = 1\n[outbox]\npath = "{tmp_path / "o.sqlite3"}"\n'
    )
    environ = {key: value for key, value in os.environ.items() if key != "RUNTIME_DIRECTORY"}
    environ["XDG_STATE_HOME"] = str(tmp_path / "state")

    def health(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "edge_runtime", "health", "--config", str(config), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
        return done.returncode, done.stdout

    def verdict() -> int:
        """The same without starting a process, to wait for."""
        return judge(read_status([tmp_path])).exit_code

    assert health()[0] == 1
    command = [sys.executable, "-m", "edge_runtime", "run", "--config", str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environ) as process:
        assert until(lambda: verdict() == 0, 30)
        code, text = health("--json")
        told = json.loads(text)
        assert code == told["exit_code"] == 0
        assert (told["word"], told["pid"]) == ("ok", process.pid)
        assert told["frames"] > 0
        mosquitto.stop()
        assert until(lambda: verdict() == 21, 20)
        assert health()[0] == 21
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    code, text = health()
    assert code == 1
    assert text.startswith("dead: ")
