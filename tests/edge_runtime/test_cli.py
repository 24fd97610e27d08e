"""The command line as a user types it: each test starts `roomtone` as a process."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from brokers import Mosquitto

SMALL_ROOM = "simulated://students=4,seed=3,width=640,height=360,seconds=3"


def roomtone(*arguments: str, timeout_s: float = 90) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge_runtime", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)


def test_help_lists_every_command_without_loading_any() -> None:
    done = roomtone("--help")
    assert done.returncode == 0
    for name in (
        "run",
        "demo",
        "watch",
        "dashboard",
        "config",
        "bundle",
        "fleet",
        "train",
        "export",
        "calibrate",
        "evaluate",
    ):
        assert re.search(rf"^\s+{name}\s+\w", done.stdout, re.MULTILINE), name


@pytest.mark.parametrize(
    "command",
    ["run", "demo", "watch", "dashboard", "config", "bundle", "fleet", "train", "export", "evaluate"],
)
def test_each_command_explains_itself(command: str) -> None:
    done = roomtone(command, "--help")
    assert done.returncode == 0
    assert f"roomtone {command}" in done.stdout


@pytest.mark.parametrize("command", [("run",), ("config", "show")], ids="-".join)
def test_each_example_of_a_help_text_has_a_line_of_its_own(command: tuple[str, ...]) -> None:
    shown = roomtone(*command, "--help").stdout
    assert "\\b" not in shown
    assert len(re.findall(rf"^ *roomtone {' '.join(command)} ", shown, re.MULTILINE)) >= 2


def test_the_version_is_told() -> None:
    done = roomtone("--version")
    assert (done.returncode, done.stdout) == (0, f"roomtone {version('roomtone')}\n")


def test_a_command_that_does_not_exist_is_a_usage_error() -> None:
    assert roomtone("fly").returncode == 2


def test_a_part_that_is_not_installed_is_named_with_the_extra_that_brings_it() -> None:
    program = "import sys; sys.modules['torch'] = None; from edge_runtime.cli import main; main()"
    command = [sys.executable, "-c", program, "train", "hafnet_half", "--data", "x.npz", "--out", "y"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 11
    assert "pip install 'roomtone[export]'" in done.stderr


def test_nothing_but_events_is_on_stdout_of_print(tiny_bundle: Path) -> None:
    done = roomtone("run", "--source", SMALL_ROOM, "--bundle", str(tiny_bundle), "--print", "--until-end")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(event["schema"], event["partial"]) for event in events] == [("roomtone-emotion/1", 1)]
    assert "trial: purpose simulation, min_group 1, 10 s windows" in done.stderr


def test_a_reader_that_goes_away_ends_the_run_quietly(tiny_bundle: Path) -> None:
    command = [sys.executable, "-m", "edge_runtime", "run", "--source", SMALL_ROOM, "--print"]
    with subprocess.Popen(
        [*command, "--bundle", str(tiny_bundle)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        words = process.stderr.read()
        assert process.wait(60) == 0
    assert "Traceback" not in words


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        pytest.param(["--source", "nowhere.mp4", "--until-end"], 4, "nowhere.mp4", id="missing film"),
        pytest.param(["--source", "simulated://pupils=3"], 4, "pupils", id="unknown key of the simulation"),
        pytest.param(["--bundle", "nowhere"], 5, "nowhere", id="missing bundle"),
        pytest.param(["--config", "nowhere.toml"], 2, "nowhere.toml", id="missing configuration"),
        pytest.param(["--broker", "http://x"], 2, "mqtt.url", id="no mqtt url"),
    ],
)
def test_a_fault_is_a_sentence_with_its_own_exit_code(
    arguments: list[str], exit_code: int, words: str
) -> None:
    done = roomtone("run", *arguments)
    assert done.returncode == exit_code
    assert done.stdout == ""
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_three_faults_are_reported_at_once_with_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[device]\nsite = "A B"\n[room]\nwindw_s = 3\n[inference]\nthreads = 0\n')
    done = roomtone("config", "validate", str(file))
    assert done.returncode == 2
    for words in (
        "line 2: device.site",
        "line 4: room.windw_s",
        "did you mean window_s",
        "line 6: inference.threads",
    ):
        assert words in done.stderr
    faults = json.loads(roomtone("config", "validate", str(file), "--json").stdout)["faults"]
    assert [fault["line"] for fault in faults] == [2, 4, 6]


def test_a_prohibited_use_is_refused_by_validate_and_by_run(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[deployment]\njurisdiction = "FR"\npurpose = "wellbeing"\n')
    for arguments in (["config", "validate", str(file)], ["run", "--config", str(file)]):
        done = roomtone(*arguments)
        assert done.returncode == 3
        assert "Art. 5(1)(f)" in done.stderr


def test_the_shown_configuration_is_valid_and_can_be_started_from(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(roomtone("config", "show", "--trial").stdout)
    assert roomtone("config", "validate", str(file)).returncode == 0
    assert "properties" in json.loads(roomtone("config", "schema").stdout)


def test_the_bundle_that_ships_is_whole_and_right_on_this_cpu() -> None:
    done = roomtone("bundle", "verify", "--json")
    assert done.returncode == 0, done.stderr
    results = {
        (row["backend"], row["precision"]): row["result"] for row in json.loads(done.stdout)["variants"]
    }
    assert results[("onnxruntime", "fp32")] == "ok"
    assert set(results.values()) <= {"ok", "not installed"}


def test_a_changed_byte_in_a_bundle_has_its_own_exit_code(tiny_bundle: Path) -> None:
    model = tiny_bundle / "model.fp32.onnx"
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    assert roomtone("bundle", "verify", str(tiny_bundle)).returncode == 6


@pytest.mark.broker
def test_watch_shows_what_a_device_publishes(mosquitto: Mosquitto, tiny_bundle: Path) -> None:
    url = mosquitto.mqtt.url
    assert url is not None
    command = [sys.executable, "-m", "edge_runtime", "watch", "--broker", url, "--seconds", "12", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watcher:
        # Events are not retained: the device must come after the watcher, and `state` tells late comers.
        done = roomtone(
            "run", "--source", SMALL_ROOM, "--bundle", str(tiny_bundle), "--broker", url, "--until-end"
        )
        assert done.returncode == 0, done.stderr
        out, _ = watcher.communicate(timeout=40)
    assert [json.loads(line)["room"] for line in out.splitlines()] == ["room"]


def test_watch_says_why_there_is_nothing_to_see() -> None:
    done = roomtone("watch", "--broker", "mqtt://127.0.0.1:9", "--seconds", "3")
    assert done.returncode == 9
    assert "127.0.0.1:9" in done.stderr


def test_the_demo_ends_by_itself_and_shows_windows() -> None:
    done = roomtone(
        "demo", "--source", "simulated://students=6,seed=2,width=960,height=540", "--seconds", "14"
    )
    assert done.returncode == 0, done.stderr
    assert len(re.findall("trial/demo camera-1", done.stdout)) >= 1


@pytest.mark.realdata
def test_the_demo_plays_a_film_that_is_named_from_here(shared_data: Path) -> None:
    command = [sys.executable, "-m", "edge_runtime", "demo", "--source", "single_face.mp4", "--seconds", "12"]
    done = subprocess.run(command, cwd=shared_data / "videos", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "1–5 of 1–5" in done.stdout


def test_the_demo_says_when_its_camera_is_not_there() -> None:
    done = roomtone("demo", "--source", "nowhere.mp4", "--seconds", "20")
    assert done.returncode == 4
    assert f"{Path('nowhere.mp4').resolve()}: does not exist" in done.stderr
    assert "roomtone-demo-" not in done.stderr


def test_the_core_install_brings_no_training_packages() -> None:
    core = [need for need in requires("roomtone") or [] if "extra ==" not in need]
    assert core
    names = {re.split(r"[\s<>=!~;\[]", need)[0].lower() for need in core}
    assert not names & {"torch", "onnx", "onnxscript", "nncf", "openvino", "matplotlib", "safetensors"}


@pytest.mark.realdata
def test_a_1080p_room_stays_within_350_mb(shared_data: Path) -> None:
    film = shared_data / "videos" / "mosaic_1080p.mp4"
    done = roomtone("run", "--source", str(film), "--until-end", "--print", timeout_s=180)
    assert done.returncode == 0, done.stderr
    resident = re.search(r"(\d+) MB resident", done.stderr)
    assert resident is not None
    assert int(resident[1]) <= 350
    (event,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert event["seen_min"] <= 24
    assert event["readable_max"] >= 20
