"""A command that is typed beside a service looks where the service keeps its things."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_runtime.commands.by_hand import environment_of_service
from edge_runtime.errors import ConfigurationError


def test_secrets_beside_the_configuration_are_found_and_a_named_folder_stands_above_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    (tmp_path / "credentials").mkdir()
    (tmp_path / "site.toml").write_text("")
    for given in (tmp_path, tmp_path / "site.toml"):
        assert environment_of_service([given])["CREDENTIALS_DIRECTORY"] == str(tmp_path / "credentials")
    assert environment_of_service([tmp_path], Path("other"))["CREDENTIALS_DIRECTORY"] == "other"
    assert "CREDENTIALS_DIRECTORY" not in environment_of_service([])
    assert os.environ["STATE_DIRECTORY"] == str(tmp_path / "state")  # who says where is believed


def test_the_state_directory_is_set_for_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "x")  # so that it is put back after the test
    monkeypatch.delenv("STATE_DIRECTORY")
    assert environment_of_service([])["STATE_DIRECTORY"] == os.environ["STATE_DIRECTORY"] != ""


def test_of_a_board_with_several_cameras_one_must_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    (tmp_path / "cameras").mkdir()
    files = [tmp_path / "cameras" / f"{room}.toml" for room in ("room-12", "room-13")]
    for file in files:
        file.write_text("")
    with pytest.raises(ConfigurationError, match="its cameras are room-12, room-13") as caught:
        environment_of_service([tmp_path])
    assert caught.value.hint == f"name it: --config {tmp_path} --config {files[0]}"
    environment_of_service([tmp_path, files[1]])
