"""No engine reports its use. ONNX Runtime's wheels since 1.32 would, and leave an id in the user's cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest


def traces(home: Path, file: Path, *, loads_ours: bool) -> list[str]:
    """What is left in the home folder of a process that ran a network."""
    home.mkdir()
    ours = "import edge_runtime; " if loads_ours else ""
    loads = f"ort.InferenceSession({str(file)!r}, providers=['CPUExecutionProvider'])"
    program = f"{ours}import onnxruntime as ort; {loads}"
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("ORT_", "XDG_"))}
    subprocess.run(
        [sys.executable, "-c", program], env=environ | {"HOME": str(home)}, check=True, capture_output=True
    )
    return [path.name for path in home.rglob("*") if path.is_file()]


def test_a_device_s_engine_leaves_no_trace(tiny_bundle: Path, tmp_path: Path) -> None:
    assert traces(tmp_path / "home", tiny_bundle / "model.fp32.onnx", loads_ours=True) == []


def test_the_test_above_can_fail(tiny_bundle: Path, tmp_path: Path) -> None:
    """Where ONNX Runtime writes its id at all, which is its own choice by version, platform and surroundings."""
    left = traces(tmp_path / "home", tiny_bundle / "model.fp32.onnx", loads_ours=False)
    if not left:
        pytest.skip(f"ONNX Runtime {onnxruntime.__version__} reports no use here")
    assert "deviceid" in left


def test_the_service_says_so_too(repository: Path) -> None:
    unit = (repository / "firmware_configs/systemd/roomtone.service").read_text()
    assert "Environment=ORT_DISABLE_TELEMETRY=1" in unit.splitlines()
