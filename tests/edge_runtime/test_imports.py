"""The device imports nothing of the workstation's, and OpenCV has what the device needs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

HEAVY = ("torch", "onnx", "onnxscript", "nncf", "matplotlib", "safetensors", "openvino")

# One module of each stage; together they import everything that `roomtone run` needs.
DEVICE = (
    "edge_runtime.agent",
    "edge_runtime.analysis",
    "edge_runtime.bundle",
    "edge_runtime.config",
    "edge_runtime.lawful",
    "edge_runtime.frames.opening",
    "edge_runtime.frames.simulation",
    "edge_runtime.faces.finder",
    "edge_runtime.inference.onnxruntime_engine",
    "edge_runtime.inference.openvino_engine",
    "edge_runtime.inference.opening",
    "edge_runtime.room.privacy",
    "edge_runtime.publishing.client",
    "edge_runtime.publishing.payloads",
)


def heavy_modules_of(*modules: str) -> list[str]:
    """Which of `HEAVY` a fresh interpreter has loaded after it imported these modules."""
    script = (
        f"import json, sys\nfor name in {modules!r}: __import__(name)\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True
    )
    return json.loads(done.stdout)


def test_the_device_imports_neither_training_nor_export_nor_an_engine_that_is_not_used():
    assert heavy_modules_of(*DEVICE) == []


def test_the_test_above_can_fail():
    assert heavy_modules_of("edge_runtime.config", "onnx") == ["onnx"]


def test_the_packages_depend_on_each_other_only_in_the_stated_directions(repository):
    tool = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    if tool is None:
        pytest.skip("import-linter is not installed beside this interpreter")
    done = subprocess.run([tool], cwd=repository, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout


def test_this_opencv_still_has_haar_cascades():
    assert hasattr(cv2, "CascadeClassifier")
    folder = Path(cv2.data.haarcascades)
    for name in ("frontalface_default", "frontalface_alt", "frontalface_alt2", "eye"):
        assert not cv2.CascadeClassifier(str(folder / f"haarcascade_{name}.xml")).empty(), name
