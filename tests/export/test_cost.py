import pytest
import torch
from torch import nn

from export.architectures.hafnet import Hafnet, HafnetConfig
from export.cost import measure_cost


@pytest.mark.parametrize(
    ("layer", "example", "parameters", "multiply_adds"),
    [
        # 8 maps of 10×10 values, each a sum over 3 channels × 3×3
        (nn.Conv2d(3, 8, 3, padding=1, bias=False), torch.zeros(1, 3, 10, 10), 216, 8 * 100 * 27),
        # stride 2: 5×5 values; the bias is no multiplication
        (nn.Conv2d(3, 8, 3, stride=2, padding=1), torch.zeros(1, 3, 10, 10), 224, 8 * 25 * 27),
        # each map sees 2 of 4 channels, kernel 1×3
        (
            nn.Conv2d(4, 6, (1, 3), padding=(0, 1), groups=2, bias=False),
            torch.zeros(1, 4, 5, 7),
            36,
            6 * 35 * 6,
        ),
        (nn.Linear(5, 7), torch.zeros(1, 5), 42, 35),
        (nn.BatchNorm2d(4), torch.zeros(1, 4, 2, 2), 8, 0),
    ],
    ids=["convolution", "stride", "groups", "linear", "norm"],
)
def test_a_layer_costs_what_a_hand_count_says(
    layer: nn.Module, example: torch.Tensor, parameters: int, multiply_adds: int
) -> None:
    cost = measure_cost(layer, example)
    assert (cost.parameters, cost.multiply_adds) == (parameters, multiply_adds)


def test_resnet18_with_a_224_px_colour_image_costs_what_the_paper_says() -> None:
    backbone = Hafnet(HafnetConfig(channels=3)).backbone
    cost = measure_cost(backbone, torch.zeros(1, 3, 224, 224))
    assert cost.multiply_adds == pytest.approx(1.8e9, rel=0.02)  # He et al. 2016, Table 1
    assert cost.parameters == pytest.approx(11.2e6, rel=0.01)


def test_a_network_in_training_stays_in_training() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).train()
    measure_cost(network, torch.zeros(1, 2))
    assert network.training
    assert not network[0]._forward_hooks


def test_norms_count_two_for_each_value_when_they_are_asked_for() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 1, bias=False), nn.BatchNorm2d(4))
    cost = measure_cost(network, torch.zeros(1, 1, 5, 5), with_norms=True)
    assert cost.multiply_adds == 4 * 25 + 2 * 4 * 25
