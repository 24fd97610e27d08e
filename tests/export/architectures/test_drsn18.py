from typing import Literal

import pytest
import torch

from export.architectures.drsn18 import (
    Drsn18Config,
    Shrinkage,
    SqueezeExcitation,
    class_centre_loss,
    soft_threshold,
)
from export.cost import measure_cost


@pytest.mark.parametrize(
    ("x", "threshold", "expected"),
    [
        (3.0, 1.0, 2.0),
        (-3.0, 1.0, -2.0),
        (0.5, 1.0, 0.0),
        (-1.0, 1.0, 0.0),
        (0.0, 0.0, 0.0),
        (-2.0, 0.0, -2.0),
    ],
)
def test_soft_threshold_shrinks_towards_nought(x: float, threshold: float, expected: float) -> None:
    assert soft_threshold(torch.tensor(x), torch.tensor(threshold)).item() == expected


def test_soft_threshold_is_torchs_own() -> None:
    x = torch.randn(200)
    torch.testing.assert_close(soft_threshold(x, torch.tensor(0.4)), torch.nn.functional.softshrink(x, 0.4))


def test_thresholds_are_positive_and_below_the_mean_magnitude() -> None:
    torch.manual_seed(0)
    x = 3 * torch.randn(5, 16, 6, 6)
    with torch.no_grad():
        thresholds = Shrinkage(16).train().thresholds(x)
    assert thresholds.min() > 0
    assert (thresholds < x.abs().mean(dim=(2, 3))).all()
    assert (thresholds.std(dim=0) > 0).all()  # each face has its own


def test_squeeze_and_excitation_scales_each_channel_as_one() -> None:
    torch.manual_seed(0)
    x = torch.rand(3, 16, 6, 6) + 0.1
    with torch.no_grad():
        ratio = SqueezeExcitation(16, 4)(x) / x
    assert ratio.min() > 0
    assert ratio.max() < 1
    torch.testing.assert_close(ratio, ratio[:, :, :1, :1].expand_as(ratio))


@pytest.mark.parametrize(
    ("unit", "least", "most"), [("none", 1.80, 1.84), ("squeeze", 1.82, 1.86), ("shrinkage", 1.82, 1.88)]
)
def test_a_224_px_colour_image_costs_what_the_paper_says(
    unit: Literal["none", "squeeze", "shrinkage"], least: float, most: float
) -> None:
    # P4 Table 7 has 1.83, 1.85 and 1.87 G. The units add 0.1 and 1.3 M to ResNet18's 1814 M and 5 M of norms.
    network = Drsn18Config(1000, unit, channels=3).network()
    cost = measure_cost(network, torch.zeros(1, 3, 224, 224), with_norms=True)
    assert least <= round(cost.multiply_adds / 1e9, 2) <= most


def test_class_centre_loss_of_a_hand_worked_case() -> None:
    centres = torch.tensor([[-2.0, 0.0], [2.0, 0.0]])  # mean squared distance from their mean: 4
    features = torch.tensor([[-2.0, 1.0], [2.0, 3.0]])  # squared distances 1 and 9
    assert class_centre_loss(features, torch.tensor([0, 1]), centres).item() == pytest.approx(5 / 4)


def test_class_centre_loss_falls_when_features_near_their_centre_and_when_centres_part() -> None:
    torch.manual_seed(0)
    noise, labels = torch.randn(4, 2), torch.tensor([0, 0, 1, 1])
    sides = torch.tensor([[-1.0, 0.0], [1.0, 0.0]])

    def loss(apart: float, spread: float) -> float:
        return class_centre_loss(apart * sides[labels] + spread * noise, labels, apart * sides).item()

    assert loss(1, 1) > loss(1, 0.5) > loss(2, 0.5)
