"""What every architecture must do, whatever is in it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from edge_runtime.faces.labelled import FER_LABELS, FERPLUS_LABELS
from export.architectures import ARCHITECTURES, Config, configure
from export.architectures.drsn18 import Drsn18Config
from export.architectures.fusion import FusionConfig
from export.architectures.hafnet import HafnetConfig
from export.architectures.lip_resnet18 import LipResnet18Config
from export.cost import measure_cost
from export.deploy import DeployedNetwork, network_inputs
from export.onnx_graph import write_onnx
from export.parity import check_parity

# One of each kind, narrow: the widths change nothing in how they are built.
NARROW: dict[str, Config] = {
    "lip_resnet18": LipResnet18Config(width=8, groups=4),
    "fusion": FusionConfig(width=4),
    "fusion_hog": FusionConfig(inputs=("hog",)),
    "resnet18": Drsn18Config(unit="none", width=8),
    "se_resnet18": Drsn18Config(unit="squeeze", width=8),
    "drsn18": Drsn18Config(width=8),
    "hafnet": HafnetConfig(width=8, heads=2),
}


def as_after_training(network: torch.nn.Module) -> torch.nn.Module:
    """Norms with statistics of their own, parameters that are nought at first moved, so that all parts count."""
    torch.manual_seed(3)
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
                part.running_mean.uniform_(-0.2, 0.2)
                part.running_var.uniform_(0.5, 2.0)
        for parameter in network.parameters():
            if parameter.ndim != 2 and parameter.ndim != 4:
                parameter.uniform_(0.3, 1.2)
    return network.eval()


def noise(config: Config, count: int, size_px: int = 96) -> list[torch.Tensor]:
    crops = np.random.default_rng(0).integers(0, 256, (count, size_px, size_px), np.uint8)
    return network_inputs(config.inputs, crops)


@pytest.mark.parametrize("name", NARROW)
def test_every_format_gives_the_same_logits_at_every_batch_size(
    name: str, probes: dict[str, np.ndarray], tmp_path: Path
) -> None:
    config = NARROW[name]
    network = DeployedNetwork(as_after_training(config.network()), config.inputs, config.outputs).eval()
    write_onnx(network, tmp_path / "model.onnx", size_px=96, metadata={})
    hops = check_parity(network, tmp_path / "model.onnx", probes)  # at batch 1, 3 and 8
    assert {hop.hop for hop in hops} == {"torch → onnxruntime", "onnxruntime → openvino"}


@pytest.mark.parametrize("name", NARROW)
def test_every_parameter_of_network_and_objective_learns(name: str) -> None:
    network = as_after_training(NARROW[name].network()).train()
    objective = NARROW[name].objective(FER_LABELS)
    targets = torch.nn.functional.one_hot(torch.arange(4), 7).float()
    objective(network(*noise(NARROW[name], 4)), targets).backward()
    still = [n for module in (network, objective) for n, p in module.named_parameters() if p.grad is None]
    assert still == []


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name != "hafnet_tiny"])
@pytest.mark.parametrize("names", [FER_LABELS[:2], FERPLUS_LABELS], ids=["2 classes", "8 classes"])
def test_every_size_gives_its_logits_and_its_loss(name: str, names: tuple[str, ...]) -> None:
    config = ARCHITECTURES[name](len(names))
    output = config.network().train()(*noise(config, 2, size_px=64))
    assert output.logits.shape == (2, len(names))
    assert output.features.ndim == 2
    loss = config.objective(names)(output, torch.full((2, len(names)), 1 / len(names)))
    assert torch.isfinite(loss)


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name.endswith("_small")])
def test_a_small_size_suits_a_small_board(name: str) -> None:
    cost = measure_cost(ARCHITECTURES[name](7).network(), torch.zeros(1, 1, 96, 96))
    assert cost.parameters <= 1.5e6
    assert cost.multiply_adds <= 120e6


def test_a_size_can_be_changed_field_by_field() -> None:
    config = configure("hafnet_small", 7, {"heads": 2, "affinity_weight": 0})
    assert (config.heads, config.affinity_weight, config.width) == (2, 0, 32)  # type: ignore[attr-defined]
    drsn = configure("drsn18_half", 7, {"unit": "none"})
    assert drsn == Drsn18Config(7, "none", width=32)


def test_the_edge_size_fits_its_bundle() -> None:
    cost = measure_cost(ARCHITECTURES["hafnet_edge"](7).network(), torch.zeros(1, 1, 96, 96))
    assert cost.parameters <= 11.5e6  # a byte each in INT8: 12 MB with what is around them


@pytest.mark.parametrize("name", NARROW)
def test_the_logits_do_not_depend_on_the_neighbours_in_the_batch(name: str) -> None:
    network = as_after_training(NARROW[name].network())
    fed = noise(NARROW[name], 3)
    with torch.no_grad():
        together, alone = network(*fed).logits[1:2], network(*(values[1:2] for values in fed)).logits
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)
