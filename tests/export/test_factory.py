import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from typer.testing import CliRunner

from edge_runtime.bundle import open_bundle
from edge_runtime.config import InferenceSection
from edge_runtime.errors import ConfigurationError
from edge_runtime.inference.opening import open_engine
from export.checkpoints import CheckpointError
from export.cli import export_app
from export.contract import InputContract, OutputContract
from export.deploy import ContractedNetwork, NetworkError, check_deployed
from export.factory import FactoryRequest, build
from export.onnx_graph import GraphError, write_onnx
from export.pipeline import ExportStepError, export_bundle

USERS_MODULE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.mix = nn.Conv2d(3, 4, 1)
        self.head = nn.Linear(4, num_classes)

    def forward(self, x):
        features = self.mix(x).relu().mean((2, 3))
        return {"logits": self.head(features), "features": features}

def build(num_classes):
    return Net(num_classes)

three = 3
broken = lambda: 1 / 0
"""
CONTRACT = """
name = "users-own"
labels = ["sad", "happy", "neutral"]
trained_on = "nothing"
[input]
size_px = 48
channels = 3
scale = [0.01, 0.02, 0.03]
offset = [-1.0, 0.0, 1.0]
[output]
tensor = "logits"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's folder: module, weights, contract; the working directory, as theirs is."""
    (tmp_path / "users_net.py").write_text(USERS_MODULE)
    (tmp_path / "contract.toml").write_text(CONTRACT)
    save_file(weights(), tmp_path / "weights.safetensors")
    monkeypatch.chdir(tmp_path)
    levels = {name: logging.getLogger(name).level for name in ("onnx_ir", "onnxscript")}
    yield tmp_path
    sys.modules.pop("users_net", None)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def weights() -> dict[str, Tensor]:
    rng = np.random.default_rng(3)
    shapes = {"mix.weight": (4, 3, 1, 1), "mix.bias": (4,), "head.weight": (3, 4), "head.bias": (3,)}
    return {
        name: torch.from_numpy(rng.normal(size=shape).astype(np.float32)) for name, shape in shapes.items()
    }


def by_hand(crops: np.ndarray) -> np.ndarray:
    """The user's network in numpy, fed by OpenCV."""
    given = {name: tensor.numpy().astype(np.float64) for name, tensor in weights().items()}
    small = np.stack([cv2.resize(crop.astype(np.float32), (48, 48)) for crop in crops]).astype(np.float64)
    scale, offset = np.array([0.01, 0.02, 0.03]), np.array([-1.0, 0.0, 1.0])
    channels = small[..., np.newaxis] * scale + offset
    mixed = np.maximum(channels @ given["mix.weight"][:, :, 0, 0].T + given["mix.bias"], 0)
    return mixed.mean(axis=(1, 2)) @ given["head.weight"].T + given["head.bias"]


def test_a_module_of_the_current_folder_becomes_a_bundle_that_reads_as_it_does(folder: Path) -> None:
    path_before = list(sys.path)
    options = ["--checkpoint", "weights.safetensors", "--contract", "contract.toml", "--json"]
    result = CliRunner().invoke(
        export_app, ["users_net:build", *options, "--out", "bundle"], catch_exceptions=False
    )
    facts = json.loads(result.stdout)
    assert (facts["name"], facts["architecture"]["name"]) == ("users-own", "users_net:build")
    assert sys.path == path_before
    crops = np.random.default_rng(0).integers(0, 256, (3, 96, 96), np.uint8)
    logits = open_engine(open_bundle(folder / "bundle"), InferenceSection()).engine.logits(crops)
    assert logits == pytest.approx(by_hand(crops), abs=1e-4)
    card = (folder / "bundle" / "MODEL_CARD.md").read_text()
    assert "roomtone export users_net:build --checkpoint weights.safetensors --contract contract.toml" in card


class _Trap:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[Path]]:
        return Path.touch, (Path("ran"),)


def _renamed(prefix: str) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in weights().items()}


def _without(name: str) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in weights().items() if key != name}


@pytest.mark.parametrize(
    "saved",
    [weights(), {"epoch": 3, "state_dict": weights()}, {"model": weights()}],
    ids=["state dict", "training checkpoint", "under model"],
)
def test_tensors_of_torch_save_are_read(saved: object, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(folder)
    torch.save(saved, "weights.pt")
    made = request("weights.pt").read()
    assert torch.equal(made.network.network.head.bias, weights()["head.bias"])  # type: ignore[union-attr,arg-type]


@pytest.mark.parametrize(
    ("saved", "problem", "hint"),
    [
        ({"weights": _Trap()}, "would run code when it is opened", "save the weights alone"),
        ([1, 2], "holds no state dict", "save the weights alone"),
        (
            _without("head.bias"),
            r"1 tensors missing \(head.bias\)",
            "are these the weights of users_net:build",
        ),
        (weights() | {"old": torch.zeros(1)}, r"1 tensors too many \(old\)", "are these the weights"),
        (_renamed("module."), "4 tensors missing", "begin with 'module.'"),
    ],
    ids=["code", "list", "missing key", "extra key", "wrapper"],
)
def test_weights_that_are_not_this_networks_are_refused(
    saved: object, problem: str, hint: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(folder)
    torch.save(saved, "weights.pt")
    with pytest.raises(CheckpointError, match=problem) as found:
        request("weights.pt").read()
    assert hint in found.value.hint
    assert not Path("ran").exists()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99], ids=["empty", "a tenth", "half", "end cut off"])
def test_a_truncated_pickle_is_named(share: float, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(folder)
    torch.save(weights(), "weights.pt")
    data = Path("weights.pt").read_bytes()
    Path("weights.pt").write_bytes(data[: int(share * len(data))])
    with pytest.raises(CheckpointError, match=r"weights\.pt: cannot be read as weights: it is cut off"):
        request("weights.pt").read()


@pytest.mark.parametrize(
    ("factory", "problem"),
    [
        ("no_such_net:build", "'no_such_net' cannot be imported"),
        ("users_net:built", "users_net has no 'built'"),
        ("users_net:three", "three is int, and cannot be called"),
        ("users_net:broken", "cannot be made: ZeroDivisionError"),
        ("users_net:nn.Conv2d", "cannot be made: TypeError"),
        ("math:factorial", "cannot be made"),
        ("collections:Counter", "gives Counter, not a torch.nn.Module"),
    ],
    ids=["module", "callable", "not callable", "fails", "needs arguments", "argument", "no module"],
)
def test_a_factory_that_makes_no_network_says_why(
    factory: str, problem: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(NetworkError, match=problem):
        build(factory, 3)


def test_a_label_too_many_is_told_before_anything_is_exported(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(folder)
    text = CONTRACT.replace('"neutral"]', '"neutral", "angry"]')
    Path("contract.toml").write_text(text)
    with pytest.raises(ExportStepError, match=r"step checkpoint: .*head.weight is \(3, 4\), not \(4, 4\)"):
        export_bundle(request("weights.safetensors"))
    assert sorted(entry.name for entry in folder.iterdir() if entry.name != "__pycache__") == [
        "contract.toml",
        "users_net.py",
        "weights.safetensors",
    ]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["users_net:build"], "--contract: is needed with a factory"),
        (["users_net:build", "--contract", "contract.toml", "--name", "x"], "--name: stands in the contract"),
        (["hafnet_half", "--contract", "contract.toml"], "hafnet_half has a contract of its own"),
    ],
    ids=["no contract", "name twice", "architecture with contract"],
)
def test_options_that_do_not_go_together_are_told(arguments: list[str], problem: str, folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        CliRunner().invoke(
            export_app,
            [*arguments, "--checkpoint", "weights.safetensors", "--out", "bundle"],
            catch_exceptions=False,
        )


def request(checkpoint: str) -> FactoryRequest:
    return FactoryRequest("users_net:build", Path(checkpoint), Path("contract.toml"), Path("bundle"))


class Odd(nn.Module):
    """(B, 1, 96, 96) → three means of rows, and then what the test makes of them."""

    def __init__(self, then: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.then = then

    def forward(self, face: Tensor) -> object:
        return self.then(face[:, 0].mean(2)[:, 10:90:30])


def contracted(then: Callable[[Tensor], object], **gives: str) -> ContractedNetwork:
    takes = InputContract(size_px=96, scale=0.05)
    return ContractedNetwork(Odd(then), takes, OutputContract(**gives), size_px=96, name="odd").eval()  # type: ignore[arg-type]


CROPS = np.random.default_rng(8).integers(0, 256, (3, 96, 96), np.uint8) // np.array([1, 2, 3])[
    :, None, None
].astype(np.uint8)


@pytest.mark.parametrize(
    ("then", "problem"),
    [
        (lambda y: y[:, :2], r"gives \(3, 2\) for 3 faces; with 3 labels it must be \(3, 3\)"),
        (lambda y: y.double(), "gives torch.float64"),
        (lambda y: y / 0, "gives infinite logits or NaN"),
        (lambda y: nn.functional.dropout(y), "gives other logits each time"),
        (lambda y: y - y.mean(0), "gives other logits when other faces are in the batch"),
        (lambda y: y.reshape(3, 3), "fails on one face"),
        (lambda y: (y, y), "gives 0, 1 instead of one tensor"),
        (lambda y: "happy", "gives str instead of one tensor"),
        (lambda y: y.softmax(1), "the contract says logits, but the outputs are probabilities"),
    ],
    ids=["labels", "double", "nan", "dropout", "batch norm", "fixed batch", "tuple", "text", "probabilities"],
)
def test_what_a_device_could_not_rely_on_is_refused(then: Callable[[Tensor], object], problem: str) -> None:
    with pytest.raises(NetworkError, match=problem) as found:
        check_deployed(contracted(then), "odd", CROPS, 3)
    assert found.value.hint


@pytest.mark.parametrize(
    ("then", "gives"),
    [
        (lambda y: y, {}),
        (lambda y: (y, y[:, :1]), {"tensor": "0"}),
        (lambda y: {"a": y}, {}),
        (lambda y: torch.topk(y, 3, dim=1, sorted=False), {"tensor": "values"}),
        (lambda y: y.softmax(1), {"values": "probabilities"}),
    ],
    ids=["tensor", "tuple", "dictionary", "named tuple", "probabilities"],
)
def test_one_tensor_is_taken_as_the_contract_names_it(
    then: Callable[[Tensor], object], gives: dict[str, str]
) -> None:
    check_deployed(contracted(then, **gives), "odd", CROPS, 3)


def test_logits_called_probabilities_are_refused() -> None:
    with pytest.raises(NetworkError, match="the contract says probabilities"):
        check_deployed(contracted(lambda y: y, values="probabilities"), "odd", CROPS, 3)


def _with_a_branch(y: Tensor) -> Tensor:
    return y if y.sum() > 0 else -y


@pytest.mark.parametrize(
    ("then", "problem"),
    [
        (lambda y: y * torch.linalg.eigvals(y.T @ y).real, r"the operator aten\.linalg_eig has no ONNX form"),
        (_with_a_branch, r"depends on what it sees: test_factory\.py, line \d+: .*y\.sum\(\) > 0"),
        (lambda y: torch.stack([y[i] for i in range(y.shape[0])]), "its code fixes the batch"),
    ],
    ids=["operator", "branch", "loop over the batch"],
)
def test_what_has_no_onnx_form_is_named(
    then: Callable[[Tensor], object], problem: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(GraphError, match=problem):
        write_onnx(contracted(then), tmp_path / "x.onnx", size_px=96, metadata={})
    assert not (tmp_path / "x.onnx").exists()
    assert capfd.readouterr().err == ""
