"""`roomtone provision` from a bare board to the first window: real processes, a real broker, a real terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from brokers import Certificates, Listener, Mosquitto, binary, free_port, until
from provisioning_parts import SMALL_ROOM, files_below, roomtone

from edge_runtime.config_file import load_config

PLACE = "grundschule-koeln-sued/r-12/r-12-camera"
ANSWERS = {
    "site": "Grundschule Köln-Süd",
    "room": "R 12",
    "camera": SMALL_ROOM,
    "jurisdiction": "DE",
    "purpose": "simulation",
    "broker": "mqtt://broker.school",
}


def options(**changes: object) -> list[str]:
    """The answers as options; None leaves one out."""
    given = {key: value for key, value in (ANSWERS | changes).items() if value is not None}
    return [text for key, value in given.items() for text in (f"--{key.replace('_', '-')}", str(value))]


@pytest.fixture
def broker_of_ours(tmp_path: Path, repository: Path) -> Iterator[Mosquitto]:
    """A broker with the access list that ships: each device in its own branch; `admin` may do all."""
    binary()
    folder = tmp_path / "broker"
    folder.mkdir()
    subprocess.run(
        ["mosquitto_passwd", "-b", "-c", str(folder / "users"), "admin", "pw"],
        check=True,
        capture_output=True,
    )
    acl = (repository / "firmware_configs/mosquitto/acl").read_text()
    (folder / "acl").write_text(f"{acl}\nuser writer\ntopic write roomtone/#\n")
    for file in ("users", "acl"):
        (folder / file).chmod(0o600)
    settings = (
        f"allow_anonymous false\npassword_file {folder / 'users'}\nacl_file {folder / 'acl'}\nuser root\n"
    )
    broker = Mosquitto(folder, free_port(), settings)
    broker.start()
    yield broker
    broker.stop()


def on_a_terminal(arguments: list[str], typed: list[str], limit_s: float = 90) -> tuple[int, str, int]:
    """Runs `roomtone` on a pseudo-terminal and types a line at each question.

    Returns:
        Exit code, everything shown, and how many questions were asked.
    """
    process, terminal = pty.fork()
    if process == 0:
        os.execv(sys.executable, [sys.executable, "-m", "edge_runtime", *arguments])
    shown, asked, deadline = b"", 0, time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            data = os.read(terminal, 4096)
        except OSError:
            break
        if not data:
            break
        shown += data
        if shown.rstrip(b" ").endswith(b"]:"):
            os.write(terminal, f"{typed[asked]}\n".encode())
            asked += 1
    os.close(terminal)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return code, shown.decode("utf-8", "replace"), asked


@pytest.mark.broker
def test_the_wizard_goes_from_a_bare_board_to_the_first_window_with_six_questions(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    typed = [SMALL_ROOM, "Grundschule Köln-Süd", "R 12", "DE", "", f"127.0.0.1:{mosquitto.port}"]
    command = ["provision", "--root", str(tmp_path), "--window", "1", "--min-group", "1"]
    with Listener(mosquitto) as listener:
        code, shown, asked = on_a_terminal(command, typed)
        assert (code, asked) == (0, 6), shown
        assert "Grundschule Köln-Süd → grundschule-koeln-sued" in shown
        assert "it opens: 640×360" in shown
        assert "systemd is not running here" in shown or "as asked" in shown
        assert "first window after" in shown
        assert until(lambda: listener.last(f"roomtone/{PLACE}/availability") == "offline")
        assert listener.payloads(f"roomtone/{PLACE}/emotion")
    config = load_config(tmp_path / "etc/roomtone")
    assert (config.device.site, config.device.room) == ("grundschule-koeln-sued", "r-12")
    assert config.deployment.jurisdiction == "DE"
    assert (tmp_path / "etc/systemd/system/roomtone.service").read_text().count("LoadCredential") == 0
    before = files_below(tmp_path / "etc")
    again = roomtone("provision", "--no-check", root=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "nothing was changed" in again.stdout
    assert files_below(tmp_path / "etc") == before


def test_a_second_run_keeps_what_people_added_and_changes_what_differs(tmp_path: Path) -> None:
    assert roomtone("provision", *options(), "--no-check", root=tmp_path).returncode == 0
    room = tmp_path / "etc/roomtone/room.toml"
    room.write_text(
        room.read_text() + '\n[context]\ntimetable = ["mon-fri 10:00-10:15 break"]  # the long one\n'
    )
    done = roomtone("provision", "--room", "R 13", "--no-check", "--json", root=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["room"] == "r-13"
    assert [Path(path).name for path in told["touched"]] == ["room.toml"]
    assert 'room = "r-13"' in room.read_text()
    assert "# the long one" in room.read_text()
    assert load_config(tmp_path / "etc/roomtone").context.timetable


def test_a_dry_run_shows_every_file_and_writes_none(tmp_path: Path) -> None:
    broker = "mqtt://cam:s3cret@broker.school"
    done = roomtone("provision", *options(broker=broker), "--no-check", "--dry-run", root=tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("site.toml", "room.toml", "camera.toml", "mqtt_password", "roomtone.service"):
        assert name in done.stdout
    assert "| LoadCredential=mqtt_password:/etc/roomtone/credentials/mqtt_password" in done.stdout
    assert "s3cret" not in done.stdout + done.stderr
    assert files_below(tmp_path) == {}


def test_secrets_lie_apart_from_the_configuration_and_are_root_s_own(tmp_path: Path) -> None:
    urls = {"broker": "mqtt://cam:s3%2Fcret@broker.school", "camera": "rtsp://admin:c4m%40@10.0.0.7/live"}
    done = roomtone("provision", *options(**urls), "--no-check", root=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "etc/roomtone/credentials"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "mqtt_username": "cam",
        "mqtt_password": "s3/cret",
        "camera_username": "admin",
        "camera_password": "c4m@",
    }
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    config = load_config(tmp_path / "etc/roomtone")
    assert config.mqtt.url == "mqtt://broker.school"
    assert config.camera.source == "rtsp://10.0.0.7/live"
    unit = (tmp_path / "etc/systemd/system/roomtone.service").read_text()
    assert unit.count("\nLoadCredential=") == 4
    again = roomtone("provision", "--camera", "rtsp://10.0.0.8/live", "--no-check", root=tmp_path)
    assert again.returncode == 0, again.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["mqtt_password", "mqtt_username"]


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        pytest.param({"purpose": "education"}, 3, r"Art. 5(1)(f)", id="a prohibited purpose"),
        pytest.param(
            {"site": "学校"}, 2, "site: '学校' holds none of the letters", id="a name without letters"
        ),
        pytest.param({"purpose": "fun"}, 2, "purpose: input should be 'simulation'", id="an unknown purpose"),
        pytest.param({"broker": "http://h"}, 2, "mqtt.url: is not mqtt://", id="no mqtt url"),
        pytest.param({"jurisdiction": "Germany"}, 2, "ISO 3166-1", id="a country in words"),
        pytest.param({"profile": "toaster"}, 2, "'toaster' is none of", id="an unknown board"),
        pytest.param({"auth": "magic"}, 2, "auth: input should be 'none'", id="an unknown kind of login"),
        pytest.param({"auth": "password"}, 2, "--username gives it", id="a password without user"),
        pytest.param(
            {"site": None, "room": None}, 2, "site: is not answered; --site gives it", id="no names"
        ),
        pytest.param(
            {"certificate": "none.pem"}, 2, "none.pem has 1 fault", id="a certificate that is not there"
        ),
    ],
)
def test_wrong_answers_are_told_and_leave_the_board_as_it_was(
    tmp_path: Path, changes: dict[str, str | None], code: int, says: str
) -> None:
    done = roomtone("provision", *options(**changes), "--no-check", root=tmp_path)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert files_below(tmp_path) == {}


@pytest.mark.broker
@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        pytest.param({"camera": "/dev/video97"}, 4, "/dev/video97 does not exist", id="no camera"),
        pytest.param({"camera": "nowhere.mp4"}, 4, "does not exist", id="no film"),
        pytest.param({"broker": "mqtt://127.0.0.1:1"}, 9, "nothing listens on port 1", id="no broker"),
        pytest.param({"broker": "mqtt://cam:guessed@BROKER"}, 9, "refuses user cam", id="a wrong password"),
    ],
)
def test_what_does_not_work_is_found_before_anything_is_written(
    guarded_mosquitto: Mosquitto, tmp_path: Path, changes: dict[str, str], code: int, says: str
) -> None:
    broker = f"mqtt://camera:seven%20bridges%20@127.0.0.1:{guarded_mosquitto.port}"
    changes = {"broker": broker} | {
        key: value.replace("BROKER", f"127.0.0.1:{guarded_mosquitto.port}") for key, value in changes.items()
    }
    root = tmp_path / "root"
    done = roomtone("provision", *options(**changes), root=root)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "guessed" not in done.stderr
    assert not root.exists() or files_below(root) == {}


def test_an_answers_file_is_read_and_its_unknown_keys_are_faults(tmp_path: Path) -> None:
    file = tmp_path / "answers.toml"
    lines = [f'{key} = "{value}"' for key, value in ANSWERS.items()]
    file.write_text("\n".join([*lines, 'sight = "north"', "window = 5"]))
    done = roomtone("provision", "--answers", file, "--no-check", root=tmp_path / "root")
    assert done.returncode == 2
    assert "sight: is no answer that is asked for; did you mean site?" in done.stderr
    assert "window: is no answer that is asked for; did you mean window_s?" in done.stderr
    file.write_text("\n".join(lines))
    done = roomtone("provision", "--answers", file, "--room", "R 14", "--no-check", root=tmp_path / "root")
    assert done.returncode == 0, done.stderr
    assert load_config(tmp_path / "root/etc/roomtone").device.room == "r-14"


@pytest.mark.broker
def test_a_device_with_a_certificate_of_its_own(
    tls_mosquitto: Callable[..., Mosquitto], certificates: Certificates, tmp_path: Path
) -> None:
    broker = tls_mosquitto(wants_client_certificate=True)
    answers = options(
        broker=f"mqtts://127.0.0.1:{broker.port}",
        ca_file=certificates / "ca.pem",
        auth="certificate",
        window=1,
    )
    first = roomtone("provision", *answers, root=tmp_path)
    assert first.returncode == 19
    assert "have it signed, then: roomtone provision --certificate" in first.stderr
    configuration = tmp_path / "etc/roomtone"
    key = configuration / "credentials/mqtt_client_key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    drawn = key.read_bytes()
    sign = ["openssl", "x509", "-req", "-in", configuration / "device.csr", "-out", tmp_path / "device.pem"]
    sign += ["-CA", certificates / "ca.pem", "-CAkey", certificates / "ca.key", "-days", "9"]
    sign += ["-CAserial", tmp_path / "serial", "-CAcreateserial"]
    subprocess.run(sign, check=True, capture_output=True)
    stranger = roomtone("provision", "--certificate", certificates / "device.pem", root=tmp_path)
    assert stranger.returncode == 2
    assert "is not the certificate of this device's key" in stranger.stderr
    done = roomtone("provision", "--certificate", tmp_path / "device.pem", "--json", root=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["read_back"] is True
    assert key.read_bytes() == drawn
    text = "".join(path.read_text() for path in configuration.glob("*.toml"))
    assert "client_key" not in text
    assert "PRIVATE" not in (configuration / "device.csr").read_text()
    assert load_config(configuration).mqtt.ca_file == configuration / "ca.pem"


@pytest.mark.broker
def test_a_broker_under_another_name_than_its_certificate_s_is_told(
    tls_mosquitto: Callable[..., Mosquitto], certificates: Certificates, tmp_path: Path
) -> None:
    broker = tls_mosquitto("misnamed")
    url = f"mqtts://127.0.0.1:{broker.port}"
    done = roomtone(
        "provision", *options(broker=url, ca_file=certificates / "ca.pem"), root=tmp_path / "root"
    )
    assert done.returncode == 9
    assert "mqtt.example.org" in done.stderr or "name" in done.stderr


@pytest.mark.broker
def test_a_login_of_its_own_lives_in_its_own_branch_and_deprovision_clears_all_of_it(
    broker_of_ours: Mosquitto, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    answers = options(broker=f"mqtt://127.0.0.1:{broker_of_ours.port}", auth="derive", window=1)
    first = roomtone("provision", *answers, root=root)
    assert first.returncode == 9, first.stderr
    assert "let its admin add this line" in first.stderr
    line = next(row for row in first.stdout.splitlines() if row.startswith(f"{PLACE}:$7$"))
    with (broker_of_ours.folder / "users").open("a") as users:
        users.write(line + "\n")
    broker_of_ours.stop()
    broker_of_ours.start()
    done = roomtone("provision", root=root)
    assert done.returncode == 0, done.stderr
    assert "nothing was changed" in done.stdout
    assert "first window after" in done.stdout
    retained = "--retained-only", "-W", "1", "-F", "%t"
    listen = [
        "mosquitto_sub",
        "-p",
        str(broker_of_ours.port),
        "-u",
        "admin",
        "-P",
        "pw",
        "-t",
        "roomtone/#",
        *retained,
    ]

    def topics() -> list[str]:
        return subprocess.run(listen, capture_output=True, text=True, check=False).stdout.splitlines()

    assert f"roomtone/{PLACE}/info" in topics()
    gone = roomtone("deprovision", "--yes", root=root)
    assert gone.returncode == 0, gone.stderr
    assert "retained topics cleared" in gone.stdout
    assert topics() == []
    assert files_below(root) == {}
    assert roomtone("deprovision", "--yes", root=root).returncode == 19


@pytest.mark.broker
def test_a_login_that_may_write_and_not_read_is_known_by_the_broker_s_acknowledgement(
    broker_of_ours: Mosquitto, tmp_path: Path
) -> None:
    add = ["mosquitto_passwd", "-b", str(broker_of_ours.folder / "users"), "writer", "pw"]
    subprocess.run(add, check=True, capture_output=True)
    broker_of_ours.stop()
    broker_of_ours.start()
    answers = options(broker=f"mqtt://writer:pw@127.0.0.1:{broker_of_ours.port}", window=1)
    (tmp_path / "root/etc/roomtone").mkdir(parents=True)
    (tmp_path / "root/etc/roomtone/camera.toml").write_text("[stats]\ninterval_s = 1\n")
    done = roomtone("provision", *answers, root=tmp_path / "root")
    assert done.returncode == 0, done.stderr
    assert "the broker took it; this login may not read it back" in done.stdout


@pytest.mark.broker
def test_a_running_device_keeps_its_camera_through_a_second_run(mosquitto: Mosquitto, tmp_path: Path) -> None:
    answers = options(broker=mosquitto.mqtt.url, window=1, purpose="simulation", jurisdiction="de")
    assert roomtone("provision", *answers, "--no-check", root=tmp_path).returncode == 0
    command = [sys.executable, "-m", "edge_runtime", "run", "--config", str(tmp_path / "etc/roomtone")]
    state = tmp_path / "var/lib/roomtone"
    state.mkdir(parents=True)
    with subprocess.Popen(
        command, env=os.environ | {"STATE_DIRECTORY": str(state)}, stderr=subprocess.PIPE
    ) as process:
        assert until(lambda: list(state.glob("*.status.json")), 20)
        done = roomtone("provision", "--dry-run", "--json", root=tmp_path)
        process.terminate()
        process.communicate()
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["would_touch"] == []


def test_a_device_whose_configuration_is_broken_can_be_taken_down_offline(tmp_path: Path) -> None:
    assert roomtone("provision", *options(), "--no-check", root=tmp_path).returncode == 0
    (tmp_path / "etc/roomtone/room.toml").write_text("[")
    refused = roomtone("deprovision", "--yes", root=tmp_path)
    assert refused.returncode == 2
    assert "--offline" in refused.stderr
    assert roomtone("deprovision", "--yes", "--offline", root=tmp_path).returncode == 0
    assert files_below(tmp_path) == {}


def as_several_cameras(folder: Path, **devices: str) -> None:
    """What a person makes of a provisioned board: a file for each room."""
    (folder / "cameras").mkdir()
    for room, device in devices.items():
        file = folder / "cameras" / f"{room}.toml"
        file.write_text(f'[device]\nroom = "{room}"\ndevice = "{device}"\n')


def test_a_board_with_several_cameras_is_left_alone_by_provision(tmp_path: Path) -> None:
    assert roomtone("provision", *options(), "--no-check", root=tmp_path).returncode == 0
    as_several_cameras(tmp_path / "etc/roomtone", north="camera-1", south="camera-1")
    before = files_below(tmp_path)
    done = roomtone("provision", "--room", "R 13", "--no-check", root=tmp_path)
    assert done.returncode == 19
    assert "several cameras (north, south)" in done.stderr
    assert "docs/cameras.md" in done.stderr
    assert files_below(tmp_path) == before


@pytest.mark.broker
def test_deprovision_clears_what_the_broker_keeps_of_every_camera(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    answers = options(broker=mosquitto.mqtt.url)
    assert roomtone("provision", *answers, "--no-check", root=tmp_path).returncode == 0
    as_several_cameras(tmp_path / "etc/roomtone", north="camera-1", south="camera-2")
    topics = [
        f"roomtone/grundschule-koeln-sued/{place}/info"
        for place in ("north/camera-1", "south/camera-2", "r-12/r-12-camera")
    ]
    with Listener(mosquitto) as listener:
        for topic in topics:
            listener.client.publish(topic, "{}", qos=1, retain=True).wait_for_publish(10)
        gone = roomtone("deprovision", "--yes", root=tmp_path)
        assert gone.returncode == 0, gone.stderr
        assert "2 retained topics cleared" in gone.stdout
        assert "grundschule-koeln-sued/north/camera-1, " in gone.stdout
        assert until(lambda: [listener.last(topic) for topic in topics] == ["", "", "{}"])
    assert not (tmp_path / "etc/roomtone").exists()


def test_deprovision_shows_what_would_go_and_can_keep_the_outbox(tmp_path: Path) -> None:
    assert roomtone("provision", *options(), "--no-check", root=tmp_path).returncode == 0
    state = tmp_path / "var/lib/roomtone"
    state.mkdir(parents=True)
    (state / "outbox").write_text("events")
    before = files_below(tmp_path)
    shown = roomtone("deprovision", "--dry-run", root=tmp_path)
    assert shown.stdout.count("remove  ") == 3
    assert files_below(tmp_path) == before
    done = roomtone("deprovision", "--yes", "--offline", "--keep-state", root=tmp_path)
    assert done.returncode == 0, done.stderr
    assert list(files_below(tmp_path)) == ["var/lib/roomtone/outbox"]
