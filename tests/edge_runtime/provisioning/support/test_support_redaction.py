"""Secrets do not get through, however they are written; the rest does."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from edge_runtime.config import Config
from edge_runtime.provisioning.support.redaction import Redactor, secrets_of

KEY = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIJ5mVmVyeVNlY3JldA==\n-----END EC PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        pytest.param("opened rtsp://admin:hunter2@10.0.0.7/live", "hunter2", id="a url's password"),
        pytest.param("GET http://cam/x?token=s3cr3tvalue&n=1", "s3cr3tvalue", id="a url's token"),
        pytest.param("password = swordfish", "swordfish", id="an assignment"),
        pytest.param('{"mqtt_password": "sword fish"}', "sword fish", id="json"),
        pytest.param("api_key: 'abc def'", "abc def", id="yaml"),
        pytest.param("Authorization: Basic YWRtaW46aHVudGVyMg==", "YWRtaW46aHVudGVyMg==", id="http basic"),
        pytest.param("authorization=Bearer eyJhbGciOi.J9", "eyJhbGciOi.J9", id="http bearer"),
        pytest.param("mosquitto_pub -h broker -u me -P swordfish -t x", "swordfish", id="mosquitto's option"),
        pytest.param("tool --password swordfish --quiet", "swordfish", id="a long option"),
        pytest.param(f"loaded {KEY} from disk", "VmVyeVNlY3JldA", id="a private key"),
        pytest.param(KEY[:60], "MHcCAQEEIJ5mVmVy", id="a private key that is cut short"),
        pytest.param(
            "frame " + base64.b64encode(bytes(range(256))).decode(), "AAECAwQF", id="a picture in base64"
        ),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str, secret: str) -> None:
    assert secret in text
    assert secret not in Redactor()(text)


@pytest.mark.parametrize(
    "text",
    [
        "connected to mqtts://broker.school:8883 with MQTT 5",
        "camera camera-1 (rtsp://10.0.0.7:554/live): no frame for 5.0 s",
        "sha256 3f2b8c0de0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b",
        "site north, room r12, 61.8 frames/s, 201 MB resident",
    ],
)
def test_what_is_none_is_left_as_it_is(text: str) -> None:
    assert Redactor()(text) == text


@pytest.mark.parametrize(
    "written",
    ["pa ss/wo?rd", "pa%20ss%2Fwo%3Frd", "pa%20ss/wo%3Frd", "xpa ss/wo?rdx"],
    ids=["plain", "percent-encoded", "half encoded", "inside a word"],
)
def test_a_known_secret_is_found_however_it_is_written(written: str) -> None:
    assert "wo" not in Redactor(["pa ss/wo?rd"])(f"tried {written} in vain").replace("two", "")


def test_a_secret_with_quotes_is_found_in_json() -> None:
    assert Redactor(['a"b\\c"d'])(r'{"x": "a\"b\\c\"d"}') == '{"x": "***"}'


def test_a_short_secret_does_not_take_other_words_with_it() -> None:
    assert Redactor(["1a"])("code 1a, room 31a2") == "code ***, room 31a2"


def test_all_that_this_device_knows_is_secret(tmp_path: Path) -> None:
    for name in ("mqtt_username", "mqtt_password", "camera_username", "camera_password"):
        (tmp_path / name).write_text(f"{name} value\n")
    environ = {
        "CREDENTIALS_DIRECTORY": str(tmp_path),
        "ROOMTONE_MQTT_PASSWORD": "from outside",
        "PWD": "/home",
    }
    config = Config.model_validate({"camera": {"source": "http://me:my%40pass@cam/v?token=t0ken&size=9"}})
    secrets = secrets_of(config, environ)
    for secret in (
        "mqtt_password value",
        "camera_password value",
        "from outside",
        "my@pass",
        "my%40pass",
        "t0ken",
    ):
        assert secret in secrets
    assert base64.b64encode(b"me:my@pass").decode() in secrets
    assert not {"mqtt_username value", "/home", "9"} & set(secrets)
    assert secrets_of(None, {}) == []
