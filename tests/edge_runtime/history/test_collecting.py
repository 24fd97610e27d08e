"""`roomtone collect` as a user starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from brokers import Listener, Mosquitto, until
from history_parts import event, topics
from typer.testing import CliRunner

from edge_runtime.cli import app
from edge_runtime.history.collecting import sentence
from edge_runtime.history.collector import CollectorCounters
from edge_runtime.history.store import default_url, open_store
from edge_runtime.publishing.payloads import encode


@pytest.mark.broker
def test_it_collects_and_alerts_until_sigterm_and_ends_in_order(mosquitto: Mosquitto, tmp_path: Path) -> None:
    (tmp_path / "alerts.toml").write_text(
        '[[rule]]\nname = "happy"\nkind = "share"\nkey = "share_happy"\nabove = 0.25\nwindows = 1\n'
    )
    command = [
        sys.executable,
        "-m",
        "edge_runtime",
        "collect",
        "--broker",
        mosquitto.mqtt.url or "",
        "--json",
    ]
    process = subprocess.Popen(
        [*command, "--alerts", str(tmp_path / "alerts.toml"), "--name", "test"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "STATE_DIRECTORY": str(tmp_path)},
        text=True,
    )
    try:
        with Listener(mosquitto) as listener:
            log = mosquitto.folder / "mosquitto.log"
            assert until(lambda: log.read_text().count("SUBACK to roomtone-collect-test") >= 8, 30)
            assert until(lambda: log.read_text().count("SUBACK to roomtone-alerts") >= 4, 30)
            listener.client.publish(topics().emotion, encode(event(ts=time.time())), qos=1).wait_for_publish(
                5
            )
            assert until(lambda: listener.payloads("roomtone/alert/north-school/r12/camera-1/happy"))
            with open_store(f"sqlite:///{tmp_path}/history.sqlite3") as store:  # in the state directory
                assert until(lambda: sum(part.events for part in store.completeness()) == 1)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, err
    counters = json.loads(out.splitlines()[-1])
    assert (counters["windows"], counters["problems"], counters["waiting"]) == (1, [], 0)


def test_the_store_is_in_the_state_directory_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/roomtone")
    assert default_url() == "sqlite:////var/lib/roomtone/history.sqlite3"


def test_a_store_that_cannot_be_is_said_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    arguments = [
        "collect",
        "--broker",
        "mqtt://127.0.0.1:1",
        "--store",
        f"sqlite:///{tmp_path}/file/x.sqlite3",
    ]
    done = CliRunner().invoke(app, arguments)
    assert "folder cannot be made" in str(done.exception)


def test_the_counters_in_words_leave_out_what_is_well() -> None:
    assert sentence(CollectorCounters(windows=5)) == "5 windows, 0 episode events, 0 stats, 0 changes"
    odd = CollectorCounters(duplicates=2, remarks={"ghost": 3, "moved": 0, "conflict": 1}, waiting=4)
    text = sentence(odd)
    for words in ("2 came twice", "1 under the id of another event", "3 retained", "4 waiting"):
        assert words in text
    assert "changed rooms" not in text
