"""NNCF tells nobody that it was used. It decides so once, when it is imported, and always stays silent under pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def sender(program: str, home: Path) -> str:
    """The class that NNCF sends its reports with, in a process that imported it in this way."""
    told = "from nncf.telemetry.wrapper import telemetry; print(type(telemetry).__name__)"
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("NNCF_", "PYTEST_"))}
    found = subprocess.run(
        [sys.executable, "-c", f"{program}; {told}"],
        env=environ | {"HOME": str(home), "CI": "true"},  # so that the control sends nothing either
        check=True,
        capture_output=True,
        text=True,
    )
    return found.stdout.split()[-1]


@pytest.mark.parametrize(
    ("program", "is_silent"),
    [("from calibration.quantize import nncf_module; nncf_module()", True), ("import nncf", False)],
    ids=["as we load it", "as anybody does"],
)
def test_nncf_is_silent_as_we_load_it(program: str, is_silent: bool, tmp_path: Path) -> None:
    assert (sender(program, tmp_path) == "MagicMock") == is_silent
