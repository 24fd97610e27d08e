"""The dashboard's systemd unit, judged by systemd's own tools, and its command line by ours."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LARGEST_EXPOSURE = 2.0


@pytest.fixture
def unit(repository: Path, tmp_path: Path) -> Path:
    """The unit that ships, with a program that exists here."""
    text = (repository / "firmware_configs/systemd/roomtone-dashboard.service").read_text()
    file = tmp_path / "roomtone-dashboard.service"
    file.write_text(text.replace("/opt/roomtone/bin/roomtone", shutil.which("true") or "/bin/true"))
    return file


def analyzed(*arguments: str) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze is not installed (Debian: apt install systemd)")
    return subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)


def test_the_unit_is_valid(unit: Path) -> None:
    done = analyzed("verify", "--man=no", str(unit))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_units_exposure_is_small(unit: Path) -> None:
    done = analyzed("security", "--offline=yes", "--no-pager", str(unit))
    found = re.search(r"Overall exposure level for roomtone-dashboard.service: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= LARGEST_EXPOSURE


def test_the_unit_starts_a_command_that_there_is(unit: Path, tmp_path: Path) -> None:
    (line,) = re.findall(r"^ExecStart=\S+ (.+)$", unit.read_text(), re.MULTILINE)
    arguments = (
        line.replace("${BROKER}", "http://x").replace("${CREDENTIALS_DIRECTORY}", str(tmp_path)).split()
    )
    command = [sys.executable, "-m", "edge_runtime", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "mqtt.url" in done.stderr) == (2, True), (
        done.stderr
    )  # past the options, at the url
