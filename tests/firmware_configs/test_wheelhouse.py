"""Every core dependency has a wheel for the boards: nothing is ever compiled on one."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def script(repository: Path):
    spec = importlib.util.spec_from_file_location("wheelhouse", repository / "firmware_configs/wheelhouse.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# One of the two that Debian has; `make wheelhouse` fetches for both.
@pytest.mark.parametrize(("architecture", "python"), [("aarch64", "3.11")])
def test_every_core_dependency_resolves_to_a_wheel_for(
    script, repository: Path, tmp_path: Path, architecture: str, python: str
) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["provision"]]
    report = tmp_path / "report.json"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--dry-run"]
    pip += ["--ignore-installed", "--retries", "1", "--target", str(tmp_path / "t"), "--report", str(report)]
    # Without an index pip says of anything that there is none; so first something that is surely there.
    if subprocess.run([*pip, "--no-deps", "mdurl"], capture_output=True, check=False).returncode:
        pytest.skip("no package index can be reached")
    command = [*pip, *script.platform_options(architecture, python), *wanted]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    files = [
        item["download_info"]["url"].rsplit("/", 1)[-1] for item in json.loads(report.read_text())["install"]
    ]
    assert len(files) >= len(wanted)
    for file in files:
        assert file.endswith((f"_{architecture}.whl", "none-any.whl")), file
    compiled = {file.split("-")[0] for file in files if file.endswith(f"_{architecture}.whl")}
    assert {"numpy", "opencv_python_headless", "onnxruntime", "pydantic_core", "cryptography"} <= compiled


def test_an_architecture_that_no_board_has_is_refused(script) -> None:
    with pytest.raises(SystemExit, match="sparc"):
        script.platform_options("sparc", "3.11")


def test_old_boards_get_no_wheel_that_needs_a_newer_glibc(script) -> None:
    options = script.platform_options("aarch64", "3.11", "old")
    assert "manylinux_2_31_aarch64" in options
    assert "manylinux_2_34_aarch64" not in options
