"""Five commands from somebody's own network to a device: docs/models.md, “Your own network”."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from calibration_parts import FacesFile
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from edge_runtime.bundle import open_bundle

MODULE = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 16, 5, 4, 2), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU()
        )
        self.classifier = nn.Sequential(nn.Flatten(), nn.Dropout(0.1), nn.Linear(32 * 64, 7))

    def forward(self, x):
        return self.classifier(self.features(x))
"""
CONTRACT = """
name = "my-net"
labels = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
trained_on = "drawn faces"
[input]
size_px = 64
channels = 3
scale = [0.01712475, 0.01750700, 0.01742919]
offset = [-2.11790393, -2.03571429, -1.80444444]
"""
SCALE, OFFSET = (
    torch.tensor(values).view(1, 3, 1, 1)
    for values in ([0.01712475, 0.01750700, 0.01742919], [-2.11790393, -2.03571429, -1.80444444])
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's folder, which is the working directory."""
    (tmp_path / "my_net.py").write_text(MODULE)
    (tmp_path / "my_net.toml").write_text(CONTRACT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("my_net", None)


def train(faces: FacesFile, steps: int = 60) -> nn.Module:
    """By the user's own loop, on the crops that a device cuts."""
    import my_net  # type: ignore[import-not-found]

    torch.manual_seed(0)
    torch.set_num_threads(1)
    crops = torch.from_numpy(faces.crops(0)).float().unsqueeze(1)
    labels = torch.from_numpy(faces.labels[faces.split == 0])
    values = functional.interpolate(crops, size=64, mode="bilinear").expand(-1, 3, -1, -1) * SCALE + OFFSET
    network: nn.Module = my_net.Net().train()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    for _ in range(steps):
        chosen = torch.randint(0, len(values), (32,))
        optimizer.zero_grad()
        functional.cross_entropy(network(values[chosen]), labels[chosen]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return network


def roomtone(*arguments: str) -> str:
    """Runs a command as a user does."""
    done = subprocess.run(
        [sys.executable, "-m", "edge_runtime", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_five_commands_lead_from_a_module_to_the_candidate_of_a_device(
    folder: Path, faces_file: FacesFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_file(dict(train(faces_file).state_dict()), "my_net.safetensors")
    state = str(folder / "state")
    monkeypatch.setenv("STATE_DIRECTORY", state)
    roomtone(
        *("export", "my_net:Net", "--checkpoint", "my_net.safetensors"),
        *("--contract", "my_net.toml", "--out", "bundles/raw"),
    )
    shown = roomtone(
        *("calibrate", "bundles/raw", "--data", str(faces_file.path), "--out", "bundles/mine"),
        *("--max-drop", "25", "--max-class-drop", "50", "--per-class", "6", "--json"),
    )
    assert roomtone("bundle", "verify", "bundles/mine").count(": ok (") >= 4
    assert "my-net 0.1.0" in roomtone("bundle", "install", "bundles/mine", "--state", state)
    roomtone("bundle", "activate", "--state", state)
    candidate = json.loads(roomtone("bundle", "list", "--state", state, "--json"))["candidate"]
    bundle = open_bundle(folder / "bundles" / "mine")
    assert candidate["digest"] == bundle.digest == json.loads(shown)["digest"]
    assert "int8" in {variant.precision for variant in bundle.manifest.variants}
    assert bundle.manifest.quality is not None
    assert bundle.manifest.quality.accuracy > 0.5  # of seven: it was trained, and its crops are the device's
