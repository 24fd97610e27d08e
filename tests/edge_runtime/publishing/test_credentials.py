"""User and password from the environment or from systemd."""

from pathlib import Path

import pytest

from edge_runtime.credential_files import environment_beside
from edge_runtime.errors import ConfigurationError
from edge_runtime.publishing.credentials import Credentials, load_credentials


def test_without_any_there_are_none() -> None:
    assert load_credentials({}) == Credentials(None, None)


def test_the_environment_gives_both() -> None:
    environ = {"ROOMTONE_MQTT_USERNAME": "camera", "ROOMTONE_MQTT_PASSWORD": " s3cret "}
    assert load_credentials(environ) == Credentials("camera", " s3cret ")


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"s3cret", "s3cret"),
        (b"s3cret\n", "s3cret"),
        (b"s3cret\r\n", "s3cret"),
        (b"s3cret \n", "s3cret "),
        ("schlüssel\n".encode(), "schlüssel"),
        (b"\n", None),
        (b"", None),
    ],
    ids=["bare", "newline", "CR LF", "space kept", "UTF-8", "only a newline", "empty"],
)
def test_a_file_gives_its_line_without_the_newline(
    tmp_path: Path, content: bytes, password: str | None
) -> None:
    (tmp_path / "mqtt_username").write_text("camera\n")
    (tmp_path / "mqtt_password").write_bytes(content)
    assert load_credentials({"CREDENTIALS_DIRECTORY": str(tmp_path)}) == Credentials("camera", password)


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "mqtt_username").write_text("from-file")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path), "ROOMTONE_MQTT_USERNAME": "from-environment"}
    assert load_credentials(environ).username == "from-environment"


def test_a_file_of_the_device_goes_before_the_common_one(tmp_path: Path) -> None:
    for file, text in (
        ("mqtt_username", "site"),
        ("mqtt_password", "common"),
        ("s.room-12.d.mqtt_username", "s/room-12/d"),
    ):
        (tmp_path / file).write_text(text)
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert load_credentials(environ, device="s.room-12.d") == Credentials("s/room-12/d", "common")
    assert load_credentials(environ, device="s.room-13.d") == Credentials("site", "common")
    assert load_credentials(environ) == Credentials("site", "common")


def test_a_file_that_cannot_be_read_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "mqtt_username").mkdir()
    (tmp_path / "mqtt_password").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError) as caught:
        load_credentials({"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert [fault.key for fault in caught.value.faults] == ["mqtt_username", "mqtt_password"]
    assert "CREDENTIALS_DIRECTORY" in caught.value.hint


def test_a_password_without_a_user_is_a_fault() -> None:
    with pytest.raises(ConfigurationError, match="mqtt_username: is missing"):
        load_credentials({"ROOMTONE_MQTT_PASSWORD": "s3cret"})


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{!r}".format])
def test_a_password_never_shows(show: object) -> None:
    assert "s3cret" not in show(Credentials("camera", "s3cret"))  # type: ignore[operator]
    assert "camera" in show(Credentials("camera", "s3cret"))  # type: ignore[operator]


def test_a_certificate_and_its_key_lie_among_the_credentials(tmp_path: Path) -> None:
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    (tmp_path / "mqtt_client_cert").touch()
    with pytest.raises(ConfigurationError, match="go together"):
        load_credentials(environ)
    (tmp_path / "mqtt_client_key").touch()
    found = load_credentials(environ)
    assert (found.client_cert, found.client_key) == (
        tmp_path / "mqtt_client_cert",
        tmp_path / "mqtt_client_key",
    )


@pytest.mark.parametrize("given", ["", "site.toml"], ids=["a folder", "a file in it"])
def test_a_configuration_s_own_credentials_are_found_beside_it(tmp_path: Path, given: str) -> None:
    assert "CREDENTIALS_DIRECTORY" not in environment_beside([tmp_path / given], {})
    (tmp_path / "credentials").mkdir()
    (tmp_path / "site.toml").touch()
    found = environment_beside([tmp_path / given], {"HOME": "/"})
    assert found == {"HOME": "/", "CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    assert (
        environment_beside([tmp_path], {"CREDENTIALS_DIRECTORY": "/run/x"})["CREDENTIALS_DIRECTORY"]
        == "/run/x"
    )
