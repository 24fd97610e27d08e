"""The configuration: all faults at once, each with its line and a way out; no secret in any message."""

from __future__ import annotations

import json
import re
import traceback
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from edge_runtime.config import Config, MqttSection, config_schema, trial_config
from edge_runtime.config_file import load_config, parse_config, to_toml
from edge_runtime.errors import ConfigurationError
from edge_runtime.faces.alignment import P1_TEMPLATE
from edge_runtime.faces.crops import CropMaker
from edge_runtime.faces.detection import Detections, HaarDetector, YuNetDetector, make_detector
from edge_runtime.faces.finder import FaceFinder
from edge_runtime.faces.view import FrameView
from edge_runtime.frames.frame import Frame
from edge_runtime.frames.simulation.classroom import SimulatedClassroom

SECRET = "hunter2"

# Every key with a value that is not its default.
EVERYTHING = {
    "device": {"site": "north-school", "room": "room-12", "device": "cam-b"},
    "deployment": {
        "jurisdiction": "US-CA",
        "setting": "laboratory",
        "purpose": "research",
        "contact": 'A "B" \\ C\n\té',
        "teacher_agreement": "works agreement of 2026-09-01",
    },
    "camera": {
        "source": "rtsp://camera.example/live",
        "width_px": 1280,
        "height_px": 720,
        "fps": 12.5,
        "realtime": True,
        "open_timeout_s": 3.0,
        "read_timeout_s": 2.0,
        "restart_after_s": 10.0,
        "restart_backoff_s": 1.0,
        "restart_backoff_max_s": 1e3,
    },
    "faces": {
        "detector": "yunet",
        "cascade": "alt",
        "yunet_model": "/models/y.onnx",
        "scan_rate_hz": 1.0,
        "scan_width_px": 1920,
        "scan_step": 1.1,
        "scan_threads": 3,
        "min_neighbors": 4,
        "min_face_px": 24,
        "max_face_fraction": 0.5,
        "follow": "search",
        "follow_rate_hz": 10.0,
        "lose_after_s": 3.0,
        "pupils": "landmarks",
    },
    "inference": {
        "bundle": "/bundles/b",
        "backend": "openvino",
        "precision": "int8",
        "prefer": ["onnxruntime int8", "onnxruntime fp32"],
        "threads": 2,
        "classify_rate_hz": 4.0,
        "max_batch": 8,
        "readable_width_px": 40,
    },
    "room": {"window_s": 30.0, "min_group": 5, "smoothing_s": 0.0, "min_track_s": 0.5},
    "context": {"timetable": ["mon-fri 10:00-10:15 break", "tue 9:00-9:45 exam"], "prior": True},
    "zones": {
        "students": {
            "front": [[0.0, 0.5], [1.0, 0.5], [1.0, 1.0]],
            "back": [[0.0, 0.2], [1.0, 0.2], [0.5, 0.4]],
        },
        "teacher": [[0.0, 0.0], [0.3, 0.0], [0.3, 0.1], [0.0, 0.1]],
    },
    "episodes": {"thresholds": {"sad": 0.4, "thinking": 0.5}, "windows": 2, "gap_windows": 0},
    "mqtt": {
        "url": "mqtts://broker.example:8883",
        "protocol": "5",
        "ca_file": "/tls/ca.pem",
        "client_cert": "/tls/c.pem",
        "client_key": "/tls/k.pem",
        "keepalive_s": 60,
        "connect_timeout_s": 2.0,
    },
    "discovery": {"enabled": True, "prefix": "school/ha"},
    "outbox": {"path": "/state/o.sqlite", "max_mb": 1.0, "max_age_h": 1e-05, "drain_rate_hz": 10.0},
    "stats": {"interval_s": 5.0, "hot_c": 70.0},
    "updates": {
        "directory": "/state/bundles",
        "require_signature": True,
        "public_key": "/keys/school.pub.pem",
        "allow_remote": True,
        "repository": "https://school.example/bundles",
        "ca_file": "/tls/school.pem",
        "max_bundle_mb": 100.0,
        "min_accuracy": 0.6,
        "max_accuracy_drop": 0.01,
        "max_face_ms": 10.0,
        "max_slowdown": 1.5,
        "shadow_s": 60.0,
        "shadow_faces": 500,
        "min_agreement": 0.8,
        "patience_h": 24.0,
        "health_window_s": 1800.0,
        "min_fps_ratio": 0.9,
    },
}


def faults(text):
    with pytest.raises(ConfigurationError) as caught:
        parse_config(text, origin="device.toml")
    return caught.value


def test_an_empty_file_is_the_default_configuration():
    assert parse_config("") == Config()


def test_the_trial_is_a_simulation_without_broker_that_tells_something_at_once():
    config = trial_config()
    assert config.deployment.purpose == "simulation"
    assert config.camera.source.startswith("simulated://")
    assert config.mqtt.url is None
    assert config.room.window_s <= 10


def test_all_faults_are_reported_at_once_in_order_of_their_lines():
    error = faults(
        """
[room]
window_s = 0
min_grup = 5

[camera]
width = "wide"
source = "ftp://camera"

[mqtt]
url = "broker.example"

[rooom]
x = 1
"""
    )
    assert [(fault.line, fault.key) for fault in error.faults] == [
        (3, "room.window_s"),
        (4, "room.min_grup"),
        (7, "camera.width_px"),
        (8, "camera.source"),
        (11, "mqtt.url"),
        (13, "rooom"),
    ]
    assert str(error).startswith("device.toml has 6 faults:")
    assert error.exit_code == 2
    assert error.hint


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("[room]\nmin_grup = 5", "min_group"),
        ("[camera]\nsorce = '0'", "source"),
        ("[rooms]\nwindow_s = 5", "room"),
        ("[faces]\nscan_rate = 5.0", "scan_rate_hz"),
    ],
)
def test_a_misspelt_key_is_a_fault_that_names_what_was_meant(text, meant):
    (fault,) = faults(text).faults
    assert "is not a key that roomtone knows" in fault.problem
    assert fault.problem.endswith(f"did you mean {meant}?")


def test_a_key_like_no_other_gets_no_suggestion():
    (fault,) = faults("[room]\nzzzzzz = 1").faults
    assert fault.problem == "is not a key that roomtone knows"


@pytest.mark.parametrize("section", EVERYTHING)
def test_unknown_keys_are_faults_in_every_section(section):
    (fault,) = faults(f"[{section}]\nqqqqq = 1").faults
    assert (fault.key, fault.line) == (f"{section}.qqqqq", 2)


@pytest.mark.parametrize("section", EVERYTHING)
def test_a_section_that_is_no_table_is_a_fault(section):
    (fault,) = faults(f"{section} = 3").faults
    assert (fault.key, fault.line) == (section, 1)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param("device.site", '"North School"', id="a topic level with a space"),
        pytest.param("device.room", '"a/b"', id="a topic level with a slash"),
        pytest.param("device.device", '"-a"', id="a topic level that begins with a hyphen"),
        pytest.param("device.device", '"a\\n"', id="a topic level with a line's end"),
        pytest.param("device.site", '""', id="an empty topic level"),
        pytest.param("device.site", f'"{"a" * 65}"', id="a long topic level"),
        pytest.param("deployment.purpose", '"fun"', id="an unknown purpose"),
        pytest.param("camera.source", '"  "', id="a blank source"),
        pytest.param("camera.source", '"gopher://x"', id="a source of an unknown kind"),
        pytest.param("camera.fps", "nan", id="not a number"),
        pytest.param("camera.fps", "inf", id="infinity"),
        pytest.param("camera.width_px", "0", id="no width"),
        pytest.param("faces.scan_step", "1.0", id="a step that never ends"),
        pytest.param("faces.max_face_fraction", "1.5", id="a face higher than the frame"),
        pytest.param("inference.threads", "0", id="no thread"),
        pytest.param("inference.threads", "1.5", id="a thread and a half"),
        pytest.param("inference.backend", '"tensorrt"', id="an unknown engine"),
        pytest.param("inference.precision", '"int4"', id="an unknown precision"),
        pytest.param("room.window_s", "-1", id="a window into the past"),
        pytest.param("room.min_group", "0", id="a group of nobody"),
        pytest.param("mqtt.keepalive_s", "1", id="a nervous keep-alive"),
        pytest.param("outbox.max_mb", "0", id="no room on the disk"),
        pytest.param("stats.interval_s", "0", id="no pause"),
        pytest.param("updates.repository", '"http://school.example"', id="bundles over http"),
        pytest.param("updates.repository", '"https://"', id="no host"),
        pytest.param("updates.max_bundle_mb", "0", id="no bundle at all"),
        pytest.param("updates.min_accuracy", "64.7", id="per cent for a share"),
        pytest.param("updates.max_accuracy_drop", "-0.1", id="better or nothing"),
        pytest.param("updates.max_face_ms", "0", id="no time at all"),
        pytest.param("updates.max_slowdown", "0.5", id="twice as fast or nothing"),
        pytest.param("updates.shadow_s", "-1", id="a shadow before the light"),
        pytest.param("updates.shadow_faces", "0", id="compared on nobody"),
        pytest.param("updates.min_agreement", "60", id="per cent of agreement"),
        pytest.param("updates.patience_h", "0", id="no patience"),
        pytest.param("updates.health_window_s", "-1", id="a trial in the past"),
        pytest.param("updates.min_fps_ratio", "2", id="twice the frames"),
        pytest.param("updates.require_signature", '"maybe"', id="a word for a signature"),
        pytest.param("updates.allow_remote", '"sometimes"', id="a word for a permission"),
        pytest.param("camera.realtime", '"perhaps"', id="a word for a flag"),
    ],
)
def test_a_value_out_of_its_range_is_a_fault_with_its_line(key, value):
    section, name = key.split(".")
    (fault,) = faults(f"[{section}]\n# a comment\n{name} = {value}").faults
    assert (fault.key, fault.line) == (key, 3)


def test_faults_of_a_room_name_the_row_the_polygon_and_the_line():
    text = """\
[context]
timetable = ["mon-fri 10:00-10:15 break", "wed 10:10-11:00 lecture", "tue 9-10 exam"]
[zones]
teacher = [[0, 0], [2, 0], [1, 1]]
[zones.students]
left = [[0, 0], [1, 1], [1, 0], [0, 1]]
Right = [[0, 0], [1, 0], [1, 1]]
few = [[0, 0], [1, 1]]
[episodes]
thresholds = { sad = 1.5 }
"""
    found = {fault.key: (fault.line, fault.problem) for fault in faults(text).faults}
    assert {key: line for key, (line, _) in found.items()} == {
        "context.timetable.2": 2,
        "zones.teacher": 4,
        "zones.students.left": 6,
        "zones.students.Right.[key]": 7,
        "zones.students.few": 8,
        "episodes.thresholds.sad": 10,
    }
    assert "tue 9-10 exam" in found["context.timetable.2"][1]
    assert "(2, 0) is outside" in found["zones.teacher"][1]
    assert "crosses itself: (0, 0)–(1, 1) and (1, 0)–(0, 1)" in found["zones.students.left"][1]
    assert "2 points" in found["zones.students.few"][1]


def test_rows_of_a_timetable_that_overlap_are_both_named():
    text = '[context]\ntimetable = ["mon-fri 10:00-10:15 break", "wed 10:10-11:00 lecture"]'
    (fault,) = faults(text).faults
    assert (fault.key, fault.line) == ("context.timetable", 2)
    assert "“mon-fri 10:00-10:15 break” and “wed 10:10-11:00 lecture”" in fault.problem


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[camera]\nrestart_backoff_s = 100.0", "restart_backoff_max_s is below"),
        ('[faces]\ndetector = "yunet"', "needs yunet_model"),
        ('[mqtt]\nclient_cert = "c.pem"', "go together"),
        ("[updates]\nrequire_signature = true", "needs public_key"),
        ('[mqtt]\nurl = "mqtt://h"\nca_file = "ca.pem"', "mqtts://"),
    ],
)
def test_keys_that_do_not_fit_together_are_a_fault_of_their_section(text, says):
    (fault,) = faults(text).faults
    assert says in fault.problem
    assert fault.line == 1


@pytest.mark.parametrize(
    ("purpose", "group", "is_allowed"),
    [
        ("simulation", 1, True),
        ("simulation", 4, True),
        ("research", 4, False),
        ("research", 5, True),
        ("medical", 1, False),
        ("safety", 10, True),
    ],
)
def test_groups_smaller_than_five_are_for_simulations_only(purpose, group, is_allowed):
    text = f'[deployment]\npurpose = "{purpose}"\n[room]\nmin_group = {group}'
    if is_allowed:
        assert parse_config(text).room.min_group == group
    else:
        assert "simulation" in str(faults(text))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        pytest.param("http://h", "mqtt://", id="another protocol"),
        pytest.param("h:1883", "mqtt://", id="no protocol"),
        pytest.param("mqtt://", "no host", id="no host"),
        pytest.param("mqtt://h:0", "port 0", id="port 0"),
        pytest.param("mqtt://h:99999", "1 to 65535", id="port too large"),
        pytest.param("mqtt://h:x", "1 to 65535", id="port in words"),
        pytest.param("mqtt://[::1", "no url", id="a broken IPv6 address"),
        pytest.param("mqtt://h/topic", "behind the port", id="a path"),
        pytest.param("mqtt://h?x=1", "behind the port", id="a query"),
    ],
)
def test_an_address_that_is_no_broker_is_a_fault(url, says):
    (fault,) = faults(f'[mqtt]\nurl = "{url}"').faults
    assert fault.key == "mqtt.url"
    assert says in fault.problem


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("mqtt://h", "mqtt://h"),
        ("mqtts://h:8883/", "mqtts://h:8883"),
        ("mqtt://127.0.0.1:1883", "mqtt://127.0.0.1:1883"),
        ("mqtt://[::1]:1883", "mqtt://[::1]:1883"),
    ],
)
def test_addresses_of_brokers_are_read(url, read):
    assert parse_config(f'[mqtt]\nurl = "{url}"').mqtt.url == read


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f'[mqtt]\nurl = "mqtt://me:{SECRET}@h"', id="user and password"),
        pytest.param(f'[mqtt]\nurl = "mqtt://me:{SECRET}/x@h:1883"', id="a slash in the password"),
        pytest.param(f'[mqtt]\nurl = "mqtt://me:{SECRET}@h:port"', id="and a broken port"),
        pytest.param(f'[mqtt]\nurl = "http://me:{SECRET}@h"', id="and another protocol"),
        pytest.param(f'[mqtt]\nurl = "mqtt://me:{SECRET}\\u2100@h"', id="a letter that urls cannot hold"),
        pytest.param(f'[mqtt]\nurl = ["mqtt://me:{SECRET}@h"]', id="a list"),
        pytest.param(f'mqtt = "mqtt://me:{SECRET}@h"', id="in the section's place"),
        pytest.param(f'[mqtt]\nusername = "me"\npassword = "{SECRET}"', id="keys that do not exist"),
        pytest.param(f'[camera]\nsource = "rtps://me:{SECRET}@h/live"', id="a camera of an unknown kind"),
        pytest.param(f'camera = "rtsp://me:{SECRET}@h/live"', id="a camera in the section's place"),
        pytest.param(
            f'[camera]\nsource = "rtsp://me:{SECRET}@h"\nfps = -1.0', id="a camera beside another fault"
        ),
        pytest.param(f'[faces]\ndetector = "rtsp://me:{SECRET}@h"', id="a url where it does not belong"),
        pytest.param(f'[[camera]]\nsource = "rtsp://me:{SECRET}@h"', id="an array of tables"),
    ],
)
def test_a_password_is_refused_or_kept_but_never_repeated(text):
    error = faults(text)
    shown = "".join(traceback.format_exception(error)) + error.hint + repr(error.faults)
    assert SECRET not in shown


def test_the_fault_of_a_password_says_where_it_belongs():
    (fault,) = faults(f'[mqtt]\nurl = "mqtt://me:{SECRET}@h"').faults
    assert "ROOMTONE_MQTT_PASSWORD" in fault.problem
    assert "CREDENTIALS_DIRECTORY" in fault.problem


def test_sections_made_in_code_do_not_repeat_a_password_either():
    with pytest.raises(ValidationError) as caught:
        MqttSection(url=f"mqtt://me:{SECRET}@h")
    assert SECRET not in str(caught.value)


def test_the_password_of_a_camera_is_not_in_the_configurations_repr():
    config = parse_config(f'[camera]\nsource = "rtsp://me:{SECRET}@h/live"')
    assert SECRET in config.camera.source
    assert SECRET not in repr(config)


@pytest.mark.parametrize(
    ("config", "name"),
    [(Config(), "defaults"), (trial_config(), "trial"), (Config.model_validate(EVERYTHING), "everything")],
    ids=["defaults", "trial", "everything"],
)
def test_a_configuration_written_as_toml_reads_back_the_same(config, name):
    assert parse_config(to_toml(config)) == config


@pytest.mark.parametrize(
    "contact", ['"', "\\", "'''", "a\nb", "\t\r\x00\x1f\x7f", "é–漢😀", "# no comment", ""]
)
def test_any_string_survives_the_round_trip(contact):
    config = Config.model_validate({"deployment": {"contact": contact}})
    assert parse_config(to_toml(config)).deployment.contact == contact


def test_the_table_of_this_file_names_every_key_with_a_value_that_is_not_its_default():
    defaults = Config().model_dump(mode="json")
    assert {name: set(keys) for name, keys in EVERYTHING.items()} == {
        name: set(keys) for name, keys in defaults.items()
    }
    same = [
        f"{s}.{k}" for s, keys in EVERYTHING.items() for k, value in keys.items() if value == defaults[s][k]
    ]
    assert same == []


def test_relative_paths_are_meant_from_the_files_own_folder(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(
        '[inference]\nbundle = "bundles/mine"\n[mqtt]\nurl = "mqtts://h"\nca_file = "/etc/ca.pem"\n'
        '[outbox]\npath = "../state.sqlite"\n',
        "utf-8",
    )
    config = load_config(file)
    assert config.inference.bundle == tmp_path / "bundles/mine"
    assert config.mqtt.ca_file == Path("/etc/ca.pem")
    assert config.outbox.path == tmp_path / "../state.sqlite"
    assert config.faces.yunet_model is None


@pytest.mark.parametrize(
    ("source", "is_beside_the_file"),
    [
        ("lesson.mp4", True),
        ("films/lesson.mp4", True),
        ("photos/", True),
        ("/films/lesson.mp4", False),
        ("~/lesson.mp4", False),
        ("0", False),
        ("/dev/video0", False),
        ("rtsp://h/live", False),
        ("file:///films/lesson.mp4", False),
        ("simulated://students=3", False),
    ],
)
def test_a_film_is_looked_for_beside_the_file_that_names_it(tmp_path, source, is_beside_the_file):
    file = tmp_path / "config.toml"
    file.write_text(f'[camera]\nsource = "{source}"', "utf-8")
    expected = str(tmp_path / source) if is_beside_the_file else source
    assert load_config(file).camera.source == expected


def test_the_default_camera_is_no_path():
    assert parse_config("", folder=Path("/etc")).camera.source == Config().camera.source


@pytest.mark.parametrize(
    ("data", "says"),
    [
        pytest.param(b"[room\n", "not valid TOML", id="broken TOML"),
        pytest.param(b"[room]\na = 1\na = 2", "not valid TOML", id="a key twice"),
        pytest.param(b"\xff\xfe", "not UTF-8", id="not UTF-8"),
        pytest.param(None, "cannot be read", id="missing"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_fault_of_the_file(tmp_path, data, says):
    file = tmp_path / "config.toml"
    if data is not None:
        file.write_bytes(data)
    with pytest.raises(ConfigurationError, match=says) as caught:
        load_config(file)
    assert str(file) in str(caught.value)


def test_a_folder_without_any_layer_is_a_fault(tmp_path):
    with pytest.raises(ConfigurationError, match=r"holds none of site\.toml, room\.toml, camera\.toml"):
        load_config(tmp_path)


def test_the_schema_describes_every_key():
    schema = config_schema()
    assert schema["$id"] == "roomtone-config/2"
    json.dumps(schema)
    sections = {name: part for name, part in schema["$defs"].items() if name.endswith("Section")}
    assert len(sections) == len(EVERYTHING)
    for name, section in sections.items():
        assert section["additionalProperties"] is False, name
        for key, described in section["properties"].items():
            assert described.get("description"), f"{name}.{key}"


# Keys of the stages below the agent: each row turns one and names what must come out differently.


@pytest.fixture(scope="module")
def classroom_view():
    with SimulatedClassroom(students=6, seed=3, width=960, height=540) as source:
        return FrameView(source.read())


def scanned(view, **keys) -> Detections:
    return HaarDetector(Config(faces=keys).faces).detect(view)


@pytest.mark.parametrize(
    "keys",
    [
        {"cascade": "alt"},
        {"cascade": "alt2"},
        {"scan_width_px": 480},
        {"scan_step": 1.4},
        {"min_face_px": 300},
        {"max_face_fraction": 0.06},
    ],
    ids=lambda keys: next(iter(keys)) + "=" + str(next(iter(keys.values()))),
)
def test_each_key_of_the_scan_takes_effect(classroom_view, keys):
    usual, other = scanned(classroom_view), scanned(classroom_view, **keys)
    assert not np.array_equal(usual.boxes_xyxy, other.boxes_xyxy)


def test_min_neighbors_decides_how_many_hits_make_a_face(classroom_view):
    found = [len(scanned(classroom_view, min_neighbors=least, scan_step=1.4)) for least in (1, 20)]
    assert found[0] > found[1]


@pytest.mark.realdata
def test_the_detector_is_the_one_that_is_configured(shared_data):
    assert isinstance(make_detector(Config().faces), HaarDetector)
    yunet = {"detector": "yunet", "yunet_model": shared_data / "models/yunet_n_320_320.onnx"}
    assert isinstance(make_detector(Config(faces=yunet).faces), YuNetDetector)


@pytest.mark.parametrize(
    ("keys", "counted"),
    [
        pytest.param({}, {"scans": 4}, id="defaults"),
        pytest.param({"scan_rate_hz": 5.0}, {"scans": 10}, id="scan_rate_hz"),
        pytest.param({"follow": "search"}, {"searches": "more"}, id="follow"),
        pytest.param({"follow_rate_hz": 4.0}, {"follows": 8}, id="follow_rate_hz"),
    ],
)
def test_each_key_of_following_takes_effect(keys, counted):
    with (
        SimulatedClassroom(students=3, seed=3, width=640, height=360, fps=10, seconds=2) as source,
        FaceFinder(Config(faces=keys).faces, waits_for_scans=True) as finder,
    ):
        for _ in range(20):
            finder.find(FrameView(source.read()))
        followed = finder.spans.percentiles()["follow"].count
        assert finder.counters.scans == pytest.approx(counted.get("scans", 4), abs=1)
        assert followed == pytest.approx(counted.get("follows", 19), abs=1)
        if "searches" in counted:
            assert finder.counters.searches > 19 * 3


def test_lose_after_s_decides_how_long_a_vanished_face_is_known(classroom_view):
    empty = np.full_like(classroom_view.frame.image_bgr, 128)
    gone_after = {}
    for seconds in (0.5, 2.0):
        with FaceFinder(Config(faces={"lose_after_s": seconds}).faces, waits_for_scans=True) as finder:
            finder.find(classroom_view)
            step = 1
            while len(finder.known_ids()):
                finder.find(FrameView(Frame(empty, classroom_view.timestamp_s + step / 10)))
                step += 1
        gone_after[seconds] = step / 10
    assert gone_after[0.5] == pytest.approx(0.6, abs=0.15)
    assert gone_after[2.0] == pytest.approx(2.1, abs=0.15)


def test_readable_width_px_decides_which_faces_are_cut(classroom_view):
    with FaceFinder(Config().faces, waits_for_scans=True) as finder:
        faces = finder.find(classroom_view)

    cut = [len(CropMaker(P1_TEMPLATE, width).make(classroom_view, faces)) for width in (16, 1000)]
    assert cut[0] == len(faces) > 0
    assert cut[1] == 0


def test_every_key_is_read_by_the_part_that_it_is_for(repository: Path) -> None:
    sources = {
        path: path.read_text("utf-8")
        for path in (repository / "edge_runtime").rglob("*.py")
        if not path.name.startswith(("config", "room_sections"))
    }
    unread = [
        f"{section}.{key}"
        for section, model in Config.model_fields.items()
        for key in model.annotation.model_fields
        if not any(re.search(rf"\.{key}\b", text) for text in sources.values())
    ]
    assert unread == []
