from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from export.architectures.hafnet import HafnetConfig, affinity_loss, centre_loss, partition_loss

LABELS = torch.tensor([0, 0, 1, 1])


def test_affinity_is_nothing_when_every_feature_lies_on_its_centre() -> None:
    centres = torch.tensor([[0.0, 3.0], [4.0, 0.0]])
    assert affinity_loss(centres[LABELS], LABELS, centres).item() == 0


def test_affinity_of_a_hand_worked_case() -> None:
    centres = torch.tensor([[-2.0, 0.0], [2.0, 0.0]])  # mean squared distance from their mean: 4
    features = torch.tensor(
        [[-2.0, 1.0], [-2.0, 2.0], [2.0, 0.0], [2.0, 2.0]]
    )  # squared distances 1, 4, 0, 4
    expected = (1 / 5 + 4 / 8 + 0 + 4 / 8) / 4
    assert affinity_loss(features, LABELS, centres).item() == pytest.approx(expected, abs=1e-6)


def test_centre_loss_of_the_same_case_has_no_bound() -> None:
    centres = torch.tensor([[-2.0, 0.0], [2.0, 0.0]])
    features = torch.tensor([[-2.0, 1.0], [-2.0, 2.0], [2.0, 0.0], [2.0, 2.0]])
    assert centre_loss(features, LABELS, centres).item() == pytest.approx((1 + 4 + 0 + 4) / 4 / 2)
    assert centre_loss(100 * features, LABELS, 100 * centres).item() == pytest.approx(1e4 * 9 / 8)


@pytest.mark.parametrize("name", ["centre_weight", "affinity_weight", "partition_weight"])
def test_each_weight_of_the_objective_has_its_effect(name: str) -> None:
    torch.manual_seed(0)
    config = HafnetConfig(2, width=8, heads=2, affinity_weight=0.0, partition_weight=0.0)
    output = config.network()(torch.randn(4, 1, 48, 48))
    losses = []
    for weight in (0.0, 0.5):
        objective = replace(config, **{name: weight}).objective(["a", "b"])
        losses.append(objective(output, torch.eye(2)[LABELS]).item())
    assert losses[0] < losses[1]


def test_affinity_falls_when_classes_part() -> None:
    torch.manual_seed(0)
    noise = torch.randn(4, 2)
    losses = []
    for apart in (0.1, 1.0, 10.0):
        centres = apart * torch.tensor([[-1.0, 0.0], [1.0, 0.0]])
        losses.append(affinity_loss(centres[LABELS] + noise, LABELS, centres).item())
    assert losses[0] > losses[1] > losses[2]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), scale=st.sampled_from([0.0, 1e-3, 1.0, 1e3]), classes=st.integers(1, 7))
def test_affinity_lies_between_nought_and_one(seed: int, scale: float, classes: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    features = scale * torch.randn(5, 3, generator=generator)
    centres = torch.randn(classes, 3, generator=generator)
    loss = affinity_loss(features, torch.arange(5) % classes, centres).item()
    assert 0 <= loss < 1 or classes == 1  # one class alone has no spread to compare with


def test_partition_of_equal_heads_is_the_margin_and_of_different_ones_nothing() -> None:
    equal = torch.ones(2, 3, 4)
    apart = torch.eye(3, 4).expand(2, 3, 4)
    assert partition_loss(equal, margin=1.0).item() == pytest.approx(1.0)
    assert partition_loss(apart, margin=1.0).item() == pytest.approx(0.0, abs=1e-6)


def test_partition_falls_as_heads_turn_away_from_each_other() -> None:
    def heads(angle: float) -> torch.Tensor:
        a = torch.tensor(angle)
        return torch.stack([torch.tensor([1.0, 0.0]), torch.stack([a.cos(), a.sin()])])[None]

    losses = [partition_loss(heads(angle)).item() for angle in (0.0, 0.4, 0.8, 1.2)]
    assert losses == sorted(losses, reverse=True)
    assert losses[1] == pytest.approx(torch.tensor(0.4).cos().item(), abs=1e-5)


def test_one_head_alone_costs_nothing() -> None:
    assert partition_loss(torch.randn(2, 1, 4)).item() == 0
