"""The systemd unit, judged by systemd's own tools; nothing here needs systemd to run."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

LARGEST_EXPOSURE = 2.5


@pytest.fixture
def analyze() -> str:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze is not installed (Debian: apt install systemd)")
    return tool


@pytest.fixture
def unit(repository: Path, tmp_path: Path) -> Path:
    """The unit that ships, with a program that exists here."""
    text = (repository / "firmware_configs/systemd/roomtone.service").read_text()
    file = tmp_path / "roomtone.service"
    file.write_text(text.replace("/opt/roomtone/bin/roomtone", shutil.which("true") or "/bin/true"))
    return file


def test_the_unit_is_valid(analyze: str, unit: Path) -> None:
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_units_exposure_is_small(analyze: str, unit: Path) -> None:
    command = [analyze, "security", "--offline=yes", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"Overall exposure level for roomtone.service: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= LARGEST_EXPOSURE


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("Type=notify", "systemd waits for READY=1"),
        ("WatchdogSec=60", "a pipeline that hangs is restarted"),
        ("DevicePolicy=closed", "no device but cameras"),
        ("LimitCORE=0", "no frame gets into a core dump"),
    ],
)
def test_the_unit_says(unit: Path, line: str, why: str) -> None:
    assert line in unit.read_text().splitlines(), why


@pytest.mark.parametrize(
    "trap",
    [
        pytest.param("PrivateDevices=yes", id="would hide USB cameras"),
        pytest.param("MemoryDenyWriteExecute=yes", id="would break engines that compile code"),
        pytest.param("PrivateNetwork=yes", id="would cut off the broker"),
    ],
)
def test_the_unit_avoids_what_would_break_the_agent(unit: Path, trap: str) -> None:
    assert trap not in unit.read_text().splitlines()
