"""Layers and versions of the configuration: what wins, who is to blame, and what old files become."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from edge_runtime.config import SCHEMA_ID, Config
from edge_runtime.config_docs import configuration_page
from edge_runtime.config_file import load_config, parse_config, to_toml
from edge_runtime.config_layers import camera_files, read_layers
from edge_runtime.config_migration import rewritten, to_current
from edge_runtime.errors import ConfigurationError

VERSION_1 = Path(__file__).with_name("configurations") / "version-1.toml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three layers; the profile's name stands in the last."""
    (tmp_path / "site.toml").write_text(
        '[device]\nsite = "north"\n[mqtt]\nurl = "mqtts://broker"\nca_file = "ca.pem"\n[inference]\nthreads = 3\n'
    )
    (tmp_path / "room.toml").write_text('[device]\nroom = "r12"\n[room]\nwindow_s = 30\n')
    (tmp_path / "camera.toml").write_text(
        'profile = "raspberry-pi-4"\n[device]\ndevice = "cam-b"\n[camera]\nsource = "lesson.mp4"\nfps = 5\n'
    )
    return tmp_path


def roomtone(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge_runtime", *arguments], capture_output=True, text=True, check=False
    )


def test_later_layers_win_key_by_key(folder: Path) -> None:
    config = load_config(folder)
    assert (config.device.site, config.device.room, config.device.device) == ("north", "r12", "cam-b")
    assert config.inference.threads == 3  # the site's, not the profile's 2
    assert config.camera.fps == 5  # the camera's, not the profile's 10
    assert config.camera.width_px == 1920  # the profile's
    assert config.room.min_group == 10  # nobody's: the default
    assert config.mqtt.ca_file == folder / "ca.pem"
    assert config.camera.source == str(folder / "lesson.mp4")


@pytest.mark.parametrize(
    ("key", "layer"),
    [
        ("device.site", "site.toml:2"),
        ("room.window_s", "room.toml:4"),
        ("camera.fps", "camera.toml:6"),
        ("camera.width_px", "profile raspberry-pi-4 (a 14 cm face"),
        ("inference.classify_rate_hz", "profile raspberry-pi-4 (estimated: "),
        ("room.min_group", "default"),
    ],
)
def test_each_key_knows_which_layer_set_it(folder: Path, key: str, layer: str) -> None:
    section, _, name = key.partition(".")
    assert layer in read_layers(folder).origin(section, name)


def test_explain_shows_every_key_with_its_layer(folder: Path) -> None:
    done = roomtone("config", "show", "--explain", str(folder))
    assert done.returncode == 0, done.stderr
    rows = done.stdout.splitlines()
    assert len(rows) == sum(len(dict(section)) for _, section in Config())
    assert any(row.startswith("camera.fps = 5.0 ") and row.endswith("camera.toml:6") for row in rows)


def test_files_and_folders_may_be_mixed(folder: Path, tmp_path: Path) -> None:
    extra = tmp_path / "extra.toml"
    extra.write_text("[room]\nwindow_s = 5\n")
    assert load_config(folder, extra).room.window_s == 5
    assert load_config(extra, folder).room.window_s == 30


def test_a_fault_names_the_file_that_set_the_key(folder: Path) -> None:
    (folder / "room.toml").write_text("[room]\n\nwindow_s = 0\nmin_grup = 5\n")
    (folder / "camera.toml").write_text('[camera]\nwidth_px = "wide"\n')
    with pytest.raises(ConfigurationError) as caught:
        load_config(folder)
    assert [(fault.file, fault.line, fault.key) for fault in caught.value.faults] == [
        (str(folder / "room.toml"), 3, "room.window_s"),
        (str(folder / "room.toml"), 4, "room.min_grup"),
        (str(folder / "camera.toml"), 2, "camera.width_px"),
    ]
    assert f"{folder}/camera.toml line 2: camera.width_px: " in str(caught.value)


def test_files_that_cannot_be_read_are_told_all_at_once(folder: Path) -> None:
    (folder / "site.toml").write_text("[")
    (folder / "room.toml").write_bytes(b"\xff")
    (folder / "camera.toml").write_text('profile = 3\n[camera]\nsource = "0"\n')
    with pytest.raises(ConfigurationError, match="has 4 faults") as caught:
        load_config(folder, folder / "missing.toml")
    assert [fault.problem.split(":")[0] for fault in caught.value.faults] == [
        "not valid TOML",
        "is not UTF-8 text",
        "is no text",
        "cannot be read",
    ]


def test_profile_auto_takes_the_one_of_this_board() -> None:
    assert parse_config('profile = "auto"').inference.prefer


def test_a_profile_may_be_a_file_beside_the_configuration(folder: Path, repository: Path) -> None:
    text = (repository / "firmware_configs/devices/rk3588.toml").read_text(encoding="utf-8")
    (folder / "own.toml").write_text(text.replace("[faces]", "[faces]\n", 1), encoding="utf-8")
    (folder / "camera.toml").write_text('profile = "own.toml"\n')
    assert read_layers(folder).layers[0].name == "profile own"


def test_what_is_written_names_its_version() -> None:
    assert to_toml(Config()).startswith(f'schema = "{SCHEMA_ID}"\n')
    assert parse_config(to_toml(Config())) == Config()


def test_a_file_of_version_1_is_read_and_its_old_names_are_told(caplog: pytest.LogCaptureFixture) -> None:
    config = load_config(VERSION_1)
    assert (config.camera.width_px, config.camera.height_px, config.room.min_group) == (1280, 720, 12)
    assert "camera.width is now camera.width_px" in caplog.text


def test_a_fault_of_a_renamed_key_has_the_line_of_the_old_one() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_config("[camera]\n\nwidth = 1\n")
    (fault,) = caught.value.faults
    assert (fault.key, fault.line) == ("camera.width_px", 3)


def test_a_file_of_this_version_does_not_know_the_old_names() -> None:
    with pytest.raises(ConfigurationError, match="did you mean width_px"):
        parse_config(f'schema = "{SCHEMA_ID}"\n[camera]\nwidth = 1280\n')


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('schema = "roomtone-config/9"', "reads roomtone-config/1, roomtone-config/2"),
        ("schema = 2", "reads roomtone-config/1, roomtone-config/2"),
        ("[camera]\nwidth = 640\nwidth_px = 640", "both are there"),
    ],
)
def test_a_version_that_cannot_be_read_is_a_fault(text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        parse_config(text)


def test_migrate_keeps_comments_and_meaning(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(VERSION_1.read_text())
    before = load_config(file)
    done = roomtone("config", "migrate", str(file), "--write")
    assert done.returncode == 0, done.stderr
    text = file.read_text()
    assert text.startswith(f'schema = "{SCHEMA_ID}"\n')
    assert "width_px = 1280  # wide enough for row 4" in text
    assert "# written by hand" in text
    assert load_config(file) == before
    assert (tmp_path / "config.toml.old").read_text() == VERSION_1.read_text()
    assert "of this version already" in roomtone("config", "migrate", str(file), "--write").stdout


def test_a_key_that_cannot_be_found_in_the_text_is_left_to_people() -> None:
    with pytest.raises(ConfigurationError, match=r"camera\.width: is now called camera\.width_px"):
        rewritten("camera = { width = 1280 }\n")
    assert to_current(tomllib.loads("camera = { width = 1280 }"))[0] == {"camera": {"width_px": 1280}}


def test_the_page_of_all_keys_is_current(repository: Path) -> None:
    page = (repository / "docs/configuration.md").read_text(encoding="utf-8")
    assert page == configuration_page(), "run: make docs"


def test_the_page_of_all_keys_has_a_row_for_each() -> None:
    page = configuration_page()
    for section, values in Config():
        assert f"## `[{section}]`" in page
        for key, field in type(values).model_fields.items():
            assert f"| `{key}` | " in page
            assert field.description, f"{section}.{key} has no description"


def test_each_file_in_cameras_is_the_last_layer_of_a_camera(tmp_path: Path) -> None:
    (tmp_path / "cameras").mkdir()
    for room in ("room-13", "room-12"):
        (tmp_path / "cameras" / f"{room}.toml").write_text(f'[device]\nroom = "{room}"\n')
    (tmp_path / "cameras" / "notes.txt").write_text("the ladder is in the cellar")
    assert load_config(tmp_path).device.room == "room"  # there need be nothing in common
    (tmp_path / "site.toml").write_text('[device]\nsite = "greenfield"\nroom = "staff-room"\n')
    files = camera_files([tmp_path, tmp_path / "site.toml"])
    assert [load_config(tmp_path, file).device.room for file in files] == ["room-12", "room-13"]
    assert {load_config(tmp_path, file).device.site for file in files} == {"greenfield"}
