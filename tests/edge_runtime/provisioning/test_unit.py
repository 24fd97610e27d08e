"""The unit that provisioning writes: its paths, its credentials, and whether its user can reach the program."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from edge_runtime.errors import ProvisioningError
from edge_runtime.provisioning.layout import Layout
from edge_runtime.provisioning.unit import check_reachable, unit_text


@pytest.fixture
def program(tmp_path: Path) -> Path:
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)  # pytest's own folders are closed to others
    file = tmp_path / "bin/roomtone"
    file.parent.mkdir()
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)
    return file


def test_the_unit_has_this_device_s_paths_and_loads_what_is_secret(program: Path, tmp_path: Path) -> None:
    text = unit_text(Layout(tmp_path / "image"), ["mqtt_username", "mqtt_client_key"], program)
    lines = text.splitlines()
    assert f"ExecStart={program} run --config /etc/roomtone" in lines
    assert [line for line in lines if line.startswith("LoadCredential=")] == [
        "LoadCredential=mqtt_username:/etc/roomtone/credentials/mqtt_username",
        "LoadCredential=mqtt_client_key:/etc/roomtone/credentials/mqtt_client_key",
    ]
    assert "#LoadCredential" not in text
    assert "ProtectHome=yes" in lines


def test_a_device_without_secrets_loads_none(program: Path) -> None:
    assert "LoadCredential" not in unit_text(Layout(), [], program)


def test_a_program_in_a_home_is_not_hidden_from_its_own_service() -> None:
    text = unit_text(Layout(), [], Path("/home/pi/venv/bin/roomtone"))
    assert "ProtectHome=read-only" in text.splitlines()


def test_systemd_finds_no_fault_in_it(program: Path, tmp_path: Path) -> None:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze is not installed (Debian: apt install systemd)")
    unit = tmp_path / "roomtone.service"
    unit.write_text(unit_text(Layout(), ["mqtt_password"], program))
    done = subprocess.run(
        [tool, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def system_python(monkeypatch: pytest.MonkeyPatch, program: Path) -> Path:
    """An interpreter that all can reach; the tests' own may lie in a home."""
    interpreter = program.with_name("python3")
    interpreter.touch()
    monkeypatch.setattr("sys.executable", str(interpreter))
    return interpreter


def test_a_program_that_all_can_reach_is_fine(program: Path, system_python: Path) -> None:
    check_reachable(program)


def test_a_python_that_lies_in_a_home_is_refused(program: Path, system_python: Path, tmp_path: Path) -> None:
    home = tmp_path / "home/pi"
    home.mkdir(parents=True)
    (home / "python3").touch()
    home.chmod(0o700)
    system_python.unlink()
    system_python.symlink_to(home / "python3")
    with pytest.raises(ProvisioningError, match=f"{home} is closed to other users"):
        check_reachable(program)


def test_a_program_behind_a_closed_folder_is_refused_with_where_to_install_it(
    program: Path, system_python: Path
) -> None:
    program.parent.chmod(0o700)
    with pytest.raises(ProvisioningError, match="is closed to other users") as caught:
        check_reachable(program)
    assert "/opt/roomtone" in caught.value.hint


def test_a_program_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProvisioningError, match="there is no program"):
        check_reachable(tmp_path / "roomtone")
